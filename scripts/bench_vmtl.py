"""What a batch of variational multi-task learning costs by the number of draws, in multiples of one of bmtl.

    python scripts/bench_vmtl.py                              # both workloads, L = M = 1, 10, 50, 100
    python scripts/bench_vmtl.py --work office_caltech --only vmtl --draws 10 --quick
    python scripts/bench_vmtl.py --device cuda
    python scripts/bench_vmtl.py --threads 1 --clock cpu      # on a machine that others use too

Workloads are of the shapes of VMTL's: office_home is 4 domains, 65 classes, 4096 features, office_caltech 4
domains, 10 classes, 1024 features; 4 examples of every class and task in a batch, 5 training examples of each.
Inputs are noise. A batch is what the methods make of it: by default a step of fused Adam by each task in turn;
priors are made of the other tasks (not those of the first batch). Rounds go through all contestants in turn, each
right after bmtl, two batches of both; the ratio is of the faster ones, its median over rounds. Peak memory is told
above that of bmtl: on the CPU the resident set's. Inference is on 1000 examples, by means as configured
(`num_test = 0`), and by averages of about L pairs of draws: the root of L of z with as many of w.

The column `paper` is the ratio of VMTL's Table C.17, by its own program on its own machine.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _bench import console, show, write
from bench_collect import Clock
from bench_weightings import measure_memory
from torch import Tensor

from mtlrun.core.batch import Batch
from mtlrun.core.method import StepSettings
from mtlrun.core.seeding import generator_for
from mtlrun.engine.device import float32_rounding
from mtlrun.methods import vmtl, vmtl_ac
from mtlrun.methods._variational import VariationalMethod
from mtlrun.methods.bmtl import BMTL
from mtlrun.methods.vbmtl import VBMTL
from mtlrun.networks.class_bank import ClassBank
from mtlrun.networks.vmtl import VMTL
from mtlrun.tasks.classification import classification
from mtlrun.updates.variational import Variational

Step = Callable[[], object]
WORKS = {"office_home": (4096, 65), "office_caltech": (1024, 10)}  # features, classes
METHODS: dict[str, Callable[..., VariationalMethod]] = {
    "vmtl": vmtl.VMTL, "vmtl_ac": vmtl_ac.VMTLAC, "vbmtl": VBMTL,
}  # fmt: skip
PAPER = {1: 0.098, 10: 0.122, 50: 0.197, 100: 0.320}  # seconds a batch; bmtl 0.040
PAPER_TEST = {1: 0.343, 10: 0.357, 50: 0.371, 100: 0.426}  # of 1000 examples; bmtl 0.325
NUM_TASKS, PER_CLASS, KNOWN = 4, 4, 5
NUM_SHOWN = 250  # of each task, in inference


class Work:
    """Random examples in the shape of a workload, and models that train on them.

    Args:
        name: Of the workload.
        device: Where.
        order: Of the steps.
    """

    def __init__(self, name: str, device: str, order: Any) -> None:
        self.width, self.num_classes = WORKS[name]
        self.device, self.order = torch.device(device), order
        self.tasks = [
            classification(f"domain_{k}", num_classes=self.num_classes) for k in range(NUM_TASKS)
        ]
        self.names = [task.name for task in self.tasks]
        self.known = [self._examples(f"known/{name}", KNOWN) for name in self.names]
        self.batch = self._batch("batch", PER_CLASS).to(self.device)
        self.shown = {
            name: self._noise(f"shown/{name}", NUM_SHOWN).to(self.device) for name in self.names
        }

    def make(self, method: VariationalMethod) -> tuple[Step, VMTL]:
        """A function that trains on a batch, past the first one, and what it trains."""
        bank = ClassBank(*zip(*self.known, strict=True), num_classes=self.num_classes)
        model = VMTL(self.width, self.tasks, bank, seed=0, **method.network).to(self.device).train()
        rule = Variational(**(dict(method.rule) | {"order": self.order}))
        adam = partial(torch.optim.Adam, lr=1e-4, fused=True)
        rule.setup(model, self.tasks, adam, StepSettings())
        rule.step(self.batch)
        return lambda: rule.step(self.batch), model

    def infer(self, model: VMTL, *, num_test: int) -> Step:
        """A function that predicts 1000 examples."""

        @torch.no_grad()
        def step() -> None:
            model.eval()
            model.num_test = num_test
            model(self.shown, self.names)
            model.train()

        return step

    def _batch(self, purpose: str, count: int) -> Batch:
        own = {name: self._examples(f"{purpose}/{name}", count) for name in self.names}
        return Batch({k: v[0] for k, v in own.items()}, {k: v[1] for k, v in own.items()})

    def _examples(self, purpose: str, count: int) -> tuple[Tensor, Tensor]:
        classes = torch.arange(self.num_classes).repeat_interleave(count)
        return self._noise(purpose, len(classes)), classes

    def _noise(self, purpose: str, count: int) -> Tensor:
        return torch.randn(count, self.width, generator=generator_for(0, purpose)).relu()


def bench(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of a workload."""
    work = Work(name, options.device, options.order)
    clock = Clock(work.device, options.clock)
    plain, points = work.make(BMTL())
    steps: dict[tuple[str, int], Step] = {}
    tests: dict[tuple[str, int, str], Step] = {}
    for method in options.only:
        for count in options.draws:
            step, model = work.make(METHODS[method](num_z=count, num_w=count))
            steps[method, count] = step
            tests[method, count, "means"] = work.infer(model, num_test=0)
            tests[method, count, "draws"] = work.infer(model, num_test=_draws(count))
    batches, seconds = _ratios(clock, plain, steps, options.rounds)
    infer = work.infer(points, num_test=0)
    inferences, infer_seconds = _ratios(clock, infer, tests, options.rounds)
    peaks = {} if options.no_memory else measure_memory(_Peak(points), plain, steps)
    rows = []
    for (method, count), ratios in batches.items():
        row: dict[str, Any] = {"work": name, "method": method, "L = M": count}
        row |= {"bmtl ms": round(1e3 * seconds, 1), "x bmtl": round(statistics.median(ratios), 2)}
        if method == "vmtl" and count in PAPER:
            row["paper"] = round(PAPER[count] / 0.040, 2)
        row["MB above bmtl"] = peaks.get((method, count), "")
        row["bmtl ms per 1000"] = round(1e3 * infer_seconds, 1)
        for way in ("means", "draws"):
            row[f"{way} x bmtl"] = round(statistics.median(inferences[method, count, way]), 2)
        if method == "vmtl" and count in PAPER_TEST:
            row["paper test"] = round(PAPER_TEST[count] / 0.325, 2)
        rows.append(row)
    return rows


class _Peak:
    """What `measure_memory` reads of a benchmark."""

    def __init__(self, model: VMTL) -> None:
        self.work, self.parameters = self, list(model.parameters())
        self.device = self.parameters[0].device


def _ratios(
    clock: Clock, plain: Step, steps: dict[Any, Step], rounds: int
) -> tuple[dict[Any, list[float]], float]:
    """Of every contestant's seconds to those of a plain step right before; and its median seconds."""
    ratios: dict[Any, list[float]] = {key: [] for key in steps}
    seconds = []
    for step in (plain, *steps.values()):
        step()
    for _ in range(rounds):
        for key, step in steps.items():
            before, own = (min(clock(which) for _ in range(2)) for which in (plain, step))
            ratios[key].append(own / before)
            seconds.append(before)
    return ratios, statistics.median(seconds)


def _draws(count: int) -> int:
    """Of z, and as many of w: about `count` pairs."""
    return max(1, round(count**0.5))


@float32_rounding("fp32")
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--draws", nargs="+", type=int, default=list(PAPER))
    parser.add_argument("--order", choices=("per_task", "joint"), default="per_task")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench"))
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument("--no-memory", action="store_true", help="leave the peaks out")
    options = parser.parse_args(words)
    options.rounds = 3 if options.quick else options.rounds
    torch.set_num_threads(options.threads)
    rows = [row for name in options.work for row in bench(name, options)]
    title = (
        f"A batch in multiples of bmtl's ({options.device}, {options.clock} time, {options.threads} "
        f"threads, order {options.order}, torch {torch.__version__})"
    )
    terminal = console()
    show(terminal, title, rows, words=("work", "method"))
    write(options.out, "vmtl_cost", title, rows)
    terminal.print(f"Written to {options.out}")


if __name__ == "__main__":
    main()
