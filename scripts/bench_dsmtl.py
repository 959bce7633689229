"""What a training step of the DSMTL networks costs: its time beside hard sharing's, and its peak memory.

    python scripts/bench_dsmtl.py                                   # 96x128, two pictures a batch
    python scripts/bench_dsmtl.py --size 288 384 --batch 8 --device cuda

Three tasks (13 classes, depth, normals) on random pictures, Adam, every network in a process of its
own. The search's step is two: one of the architecture on a held-out batch, one of the weights. The
peak is of the whole process (ru_maxrss; on an accelerator what torch had allocated), told beside
what it is above hard sharing's.

The second table counts calls of encoder stages in one step of the search, against the naive way in
which every branch of every task begins at the picture: P - 1 stages for each of P branch points.
"""

import argparse
import csv
import functools
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from mtlrun.backbones.deeplab_resnet18 import DeepLabResNet18
from mtlrun.backbones.deeplab_resnet50 import DeepLabResNet50
from mtlrun.core.batch import Batch
from mtlrun.core.data import InputSpec
from mtlrun.core.method import StepSettings, UpdateRule
from mtlrun.core.model import MultiTaskModel
from mtlrun.core.task import Task
from mtlrun.networks.branch_search import BranchSearch
from mtlrun.networks.dsmtl import DSMTL
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.tasks.depth import depth
from mtlrun.tasks.normals import normals
from mtlrun.tasks.segmentation import segmentation
from mtlrun.updates.bilevel import Bilevel
from mtlrun.updates.joint import Joint
from mtlrun.weightings.equal import Equal
from mtlrun.weightings.fixed import Fixed

BACKBONES = {"deeplab_resnet50": DeepLabResNet50, "deeplab_resnet18": DeepLabResNet18}
NETWORKS = ("hps", "dsmtl_jl", "dsmtl_al search", "dsmtl_al retrain")
NUM_CLASSES = 13


def main() -> None:
    """Measures every network in a fresh process; prints and writes the two tables."""
    asked = _parser().parse_args()
    if asked.one is not None:
        sys.stdout.write(json.dumps(measure(asked.one, asked)) + "\n")
        return
    found = {name: _in_process(name) for name in NETWORKS}
    first = found["hps"]
    cost = [
        {
            "network": name,
            "million parameters": round(own["parameters"] / 1e6, 1),
            "step s": round(own["seconds"], 3),
            "x hps": round(own["seconds"] / first["seconds"], 2),
            "peak MB": round(own["peak"] / 1e6),
            "above hps MB": round((own["peak"] - first["peak"]) / 1e6),
        }
        for name, own in found.items()
    ]
    counts = found["dsmtl_al search"]["counts"]
    console = Console(width=None if sys.stdout.isatty() else 120)
    where = f"{asked.backbone}, {asked.size[0]}x{asked.size[1]}, batch {asked.batch}, {asked.device}, {asked.clock} time"
    _show(console, asked.out, "dsmtl_cost", f"A training step ({where})", cost)
    title = f"Stage calls of a search step, {counts.pop('passes')} passes of 3 tasks"
    _show(console, asked.out, "dsmtl_calls", title, [counts])
    console.print(f"Written to {asked.out}")


def measure(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Parameters, seconds a step (median), peak memory in bytes; calls of stages for the search."""
    torch.set_num_threads(asked.threads)
    work = Workload.of(name, asked)
    work.step()
    seconds = []
    for _ in range(asked.rounds):
        start = _now(asked)
        work.step()
        seconds.append(_now(asked) - start)
    found: dict[str, Any] = {
        "parameters": sum(p.numel() for p in work.model.parameters()),
        "seconds": statistics.median(seconds),
        "peak": _peak(asked.device),
    }
    if isinstance(work.model, BranchSearch):
        found["counts"] = count_calls(work, work.model)
    return found


@dataclass
class Workload:
    """A network with its rule and a batch."""

    model: MultiTaskModel
    rule: UpdateRule
    batch: Batch

    @classmethod
    def of(cls, name: str, asked: argparse.Namespace) -> "Workload":
        """The workload of a name in NETWORKS."""
        torch.manual_seed(0)
        tasks = (segmentation(num_classes=NUM_CLASSES), depth(), normals())
        make = functools.partial(BACKBONES[asked.backbone], InputSpec("image", (3, *asked.size)))
        model, rule = _network(name, make, tasks, asked.branch_points)
        model.to(asked.device).train()
        settings = StepSettings(precision=asked.precision)
        rule.setup(model, tasks, functools.partial(torch.optim.Adam, lr=1e-4), settings)
        return cls(model, rule, _batch(asked.batch, asked.size).to(asked.device))

    def step(self) -> None:
        """One step; the held-out batch is the same one."""
        if self.rule.held_out_share:
            self.rule.held_out = self.batch
        self.rule.step(self.batch)


def count_calls(work: Workload, model: BranchSearch) -> dict[str, Any]:
    """How often stages are called in a step, and in the naive passes of one."""
    calls = {"public": 0, "private": 0}

    def add(kind: str, *_: Any) -> None:
        calls[kind] += 1

    encoders = [("public", model.public), *(("private", own) for own in model.private.values())]
    for kind, encoder in encoders:
        for stage in _stages(encoder):
            stage.register_forward_hook(functools.partial(add, kind))
    work.step()
    ours = dict(calls)
    calls.update(public=0, private=0)
    passes = 2  # of the architecture and of the weights
    with torch.no_grad():
        for _ in range(passes):
            naive_pass(model, work.batch.inputs)
    total, naive = sum(ours.values()), sum(calls.values())
    return {
        "passes": passes,
        "public": ours["public"],
        "private suffixes": ours["private"],
        "all": total,
        "naive public": calls["public"],
        "naive private": calls["private"],
        "naive all": naive,
        "naive / this": round(naive / total, 2),
    }


def naive_pass(model: BranchSearch, inputs: Any) -> None:
    """Every branch of every task from the picture on."""
    public = _stages(model.public)
    for encoder in model.private.values():
        private = _stages(encoder)
        for branch in range(1, model.num_positions + 1):
            hidden = inputs
            for stage in [*public[: branch - 1], *private[branch - 1 :]]:
                hidden = stage(hidden)


def _network(
    name: str, make: Any, tasks: Sequence[Task], branch_points: Sequence[int]
) -> tuple[MultiTaskModel, UpdateRule]:
    private = {task.name: make() for task in tasks} if name != "hps" else {}
    if name == "hps":
        return HardSharing(make(), tasks, seed=0), Joint(Equal())
    if name == "dsmtl_jl":
        return DSMTL(make(), private, tasks, seed=0), Joint(Equal())
    if name == "dsmtl_al search":
        return BranchSearch(make(), private, tasks, seed=0), Bilevel()
    points = {task.name: point for task, point in zip(tasks, branch_points, strict=True)}
    model = DSMTL(make(), private, tasks, seed=0, branch_points=points)
    return model, Joint(Fixed([1 / len(tasks)] * len(tasks)))


def _batch(size: int, shape: Sequence[int]) -> Batch:
    height, width = shape
    targets = {
        "segmentation": torch.randint(0, NUM_CLASSES, (size, height, width)),
        "depth": torch.rand(size, 1, height, width) + 0.5,
        "normals": torch.randn(size, 3, height, width),
    }
    return Batch(torch.rand(size, 3, height, width), targets)


def _stages(encoder: Any) -> list[nn.Module]:
    return list(encoder.stages)


def _now(asked: argparse.Namespace) -> float:
    if torch.device(asked.device).type == "cuda":
        torch.cuda.synchronize()
    return time.process_time() if asked.clock == "cpu" else time.perf_counter()


def _peak(device: str) -> int:
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _in_process(name: str) -> dict[str, Any]:
    words = [sys.executable, __file__, *sys.argv[1:], "--one", name]
    answer = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def _show(
    console: Console, folder: Path, name: str, title: str, rows: Sequence[dict[str, Any]]
) -> None:
    """A table on the terminal and as CSV."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if column == "network" else "right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    console.print(table)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", choices=BACKBONES, default="deeplab_resnet50")
    parser.add_argument("--size", nargs=2, type=int, default=[96, 128], metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument(
        "--branch-points", nargs=3, type=int, default=[2, 4, 6], metavar="p",
        help="of the retrained network, 1 (a whole private encoder) to 6 (none)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench"))
    parser.add_argument("--one", choices=NETWORKS, help="measure this one here and print JSON")
    return parser


if __name__ == "__main__":
    main()
