"""Writes what weightings make of a batch that the processes of a group share; a script, started by a test."""

import sys
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from mtlrun._catalogue import options
from mtlrun.core import layers
from mtlrun.core.batch import Batch
from mtlrun.core.method import StepSettings
from mtlrun.core.model import Backbone
from mtlrun.core.task import Output
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.updates.joint import Joint
from tests.affinities.models import task
from tests.weightings.oracles import built

NAMES = ("a", "b", "c")
ON_FEATURES = ("pcgrad", "cagrad", "gradnorm", "graddrop")


class Smooth(Backbone):
    """Linear and convolution layers, none of which sees more than one example."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.Tanh(), nn.Flatten()),
                nn.Sequential(nn.Linear(16, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 6)),
            ]
        )

    def make_head(self, output: Output) -> nn.Module:
        return nn.Sequential(nn.Tanh(), nn.Linear(6, output.channels))


def trained(name: str, rank: int, count: int) -> Tensor:
    """All parameters after six steps, from this process's share of batches of 8 examples."""
    torch.manual_seed(0)
    tasks = [task(name, F.mse_loss, 2) for name in NAMES]
    model = HardSharing(Smooth(), tasks, seed=0).double().train()
    own = built(name.removesuffix(" on features"))
    if name.endswith(" on features"):
        own.grad_on = "features"  # type: ignore[attr-defined]  # of those named above
    rule = Joint(own)
    rule.setup(model, tasks, partial(torch.optim.SGD, lr=0.05), StepSettings())
    rows = slice(rank * 8 // count, (rank + 1) * 8 // count)
    for step in range(6):
        generator = torch.Generator().manual_seed(step)
        draw = partial(torch.randn, generator=generator, dtype=torch.float64)
        targets = {name: (k + 1) * draw(8, 2) for k, name in enumerate(NAMES)}
        rule.step(Batch(draw(8, 2, 4), targets)[rows])
        if step % 2:
            rule.epoch_ended()
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def results(rank: int, count: int) -> dict[str, Tensor]:
    """By weighting; layers are left unformed, then all formed."""
    names = [*options("weighting"), *(f"{name} on features" for name in ON_FEATURES)]
    found = {name: trained(name, rank, count) for name in names}
    for unformed in (True, False):
        layers.layer_is_cheaper_unformed = lambda *_, answer=unformed: answer
        found[f"cagrad {unformed}"] = trained("cagrad", rank, count)
    return found


def main() -> None:
    """Arguments: a file to meet at, the rank, the number of processes, where the first writes."""
    torch.set_num_threads(1)
    meeting, rank, count, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    if count > 1:
        method = f"file://{meeting}"
        dist.init_process_group("gloo", init_method=method, rank=rank, world_size=count)
    found = results(rank, count)
    if rank == 0:
        torch.save(found, path)
    if count > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
