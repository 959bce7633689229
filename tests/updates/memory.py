"""Prints the peak memory of a ResNet-18 step with 9 tasks, in MB, by weighting; a script, started by a test."""

import sys
from functools import partial
from pathlib import Path

import torch
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError

from mtlrun.backbones.resnet18 import ResNet18
from mtlrun.core.batch import Batch
from mtlrun.core.data import InputSpec
from mtlrun.core.method import StepSettings
from mtlrun.core.task import Output, Task
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.updates.joint import Joint
from tests.weightings.oracles import built


def peak(name: str) -> float:
    """Of the second step."""
    tasks = [
        Task(f"t{k}", Output("dense", 3), F.mse_loss, {"mae": MeanAbsoluteError}, {"mae": False})
        for k in range(9)
    ]
    model = HardSharing(ResNet18(InputSpec("image", (3, 96, 128))), tasks, seed=0).train()
    rule = Joint(built(name))
    rule.setup(model, tasks, partial(torch.optim.SGD, lr=0.01), StepSettings())
    batch = Batch(torch.randn(4, 3, 96, 128), {t.name: torch.randn(4, 3, 96, 128) for t in tasks})
    rule.step(batch)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    rule.step(batch)
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(f"{peak(sys.argv[1])}\n")
