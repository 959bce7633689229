"""Prints affinities of a batch that the processes of a group share; a script, started by a test."""

import sys
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from mtlrun.affinities.cosine import CosineCollector
from mtlrun.affinities.lookahead import LookaheadCollector
from mtlrun.affinities.tag import TAGCollector
from mtlrun.core.batch import Batch
from mtlrun.core.model import Backbone
from mtlrun.core.task import Output
from mtlrun.networks.hard_sharing import HardSharing
from tests.affinities.models import observed, point_of, task

NAMES = ("a", "b", "c")


class Smooth(Backbone):
    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.LayerNorm(6)])

    def make_head(self, output: Output) -> nn.Module:
        return nn.Linear(6, output.channels)


def affinities(rank: int, count: int) -> torch.Tensor:
    """[5, T, T] by all collectors, from this process's share of 8 examples."""
    torch.manual_seed(0)
    tasks = [task(name, F.mse_loss, 2) for name in NAMES]
    model = HardSharing(Smooth(), tasks, seed=0).double().train()
    inputs = torch.randn(8, 4, dtype=torch.float64)
    targets = {name: torch.randn(8, 2, dtype=torch.float64) for name in NAMES}
    rows = slice(rank * 8 // count, (rank + 1) * 8 // count)
    point = point_of(model, Batch(inputs, targets)[rows], lr=0.05)
    collectors: list[Any] = [
        TAGCollector(),
        TAGCollector(gains="first_order"),
        LookaheadCollector(),
        LookaheadCollector(gains="first_order"),
        LookaheadCollector(rule="optimizer", heads="all"),
        CosineCollector(),
    ]
    return torch.stack([observed(collector, point) for collector in collectors])


def main() -> None:
    """Arguments: a file to meet at, the rank, the number of processes, where the first writes."""
    torch.set_num_threads(1)
    meeting, rank, count, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    found = affinities(rank, count)
    if rank == 0:
        torch.save(found, path)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
