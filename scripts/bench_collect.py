"""What collecting an affinity costs a batch, in multiples of a plain joint training step, and how exact it is.

    python scripts/bench_collect.py                          # MLP and resnet_small, 3, 5 and 9 tasks
    python scripts/bench_collect.py --model resnet18 mlp --tasks 9 --quick
    python scripts/bench_collect.py --device cuda

A joint step is a forward pass, one backward pass of the sum of all losses, and Adam. Every
collection is timed right after a joint step of the same model, over rounds that go through all
collections in turn; the ratio is the median over rounds. `floor` is the time that the counted passes
(encoder forward and backward, heads forward and backward) take alone, by medians in the same rounds;
where weight gradients are not formed a collection can be below it.
The naive ways copy the model for every virtual update and run all of it forward. The noise probes,
two more forward passes at the 1st, 2nd, 4th, ... collected batch, are left out.

The second table holds the rank correlation, over pairs of different tasks, of float32 gains with
exact float64 gains of the same weights and batch.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from _bench import console, show, write
from scipy.stats import spearmanr
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError

from mtlrun.affinities.cosine import CosineCollector
from mtlrun.affinities.lookahead import LookaheadCollector
from mtlrun.affinities.tag import TAGCollector
from mtlrun.backbones.mlp import MLP
from mtlrun.backbones.resnet18 import ResNet18
from mtlrun.backbones.resnet_small import ResNetSmall
from mtlrun.backbones.vit_tiny import ViTTiny
from mtlrun.core.batch import Batch
from mtlrun.core.data import InputSpec
from mtlrun.core.gradients import SharedPass, shared_pass, task_gradients
from mtlrun.core.method import AffinityCollector, TrainingPoint
from mtlrun.core.model import task_losses
from mtlrun.core.task import Output, Task
from mtlrun.engine.device import float32_rounding
from mtlrun.networks.hard_sharing import HardSharing

WORDS = ("model", "collection")
MODELS = ("mlp", "resnet_small", "resnet18", "vit_tiny")
LEARNING_RATES = (1e-2, 1e-3, 1e-4)
COLLECTORS: dict[str, Callable[[], AffinityCollector]] = {
    "tag": TAGCollector,
    "lookahead": LookaheadCollector,
    "lookahead sampled": lambda: LookaheadCollector(sampling="uniform"),
    "cosine": CosineCollector,
    "tag first order": lambda: TAGCollector(gains="first_order"),
    "lookahead first order": lambda: LookaheadCollector(gains="first_order"),
}


@dataclass
class Counts:
    """Passes of one collection: of the encoder and of heads, forward and backward."""

    encodes: int = 0
    decodes: int = 0
    backwards: int = 0


class Workload:
    """A model with its tasks, a batch and Adam."""

    def __init__(self, name: str, num_tasks: int, device: str, *, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        self.name, self.device = name, torch.device(device)
        if name == "mlp":
            spec = InputSpec("vector", (512,))
            backbone: Any = MLP(spec, hidden=(512, 512, 512))
            shape: tuple[int, ...] = (256, 512)
        else:
            spec = InputSpec("image", (3, 96, 128))
            kinds = {"resnet18": ResNet18, "resnet_small": ResNetSmall, "vit_tiny": ViTTiny}
            backbone = kinds[name](spec)
            shape = (4, 3, 96, 128)
        self.tasks = [_task(k, "vector" if name == "mlp" else "dense") for k in range(num_tasks)]
        self.model = HardSharing(backbone, self.tasks, seed=0).to(self.device, dtype).train()
        self.batches = [self._batch(shape, k, dtype) for k in range(8)]
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.steps = 0

    def _batch(self, shape: tuple[int, ...], seed: int, dtype: torch.dtype) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(shape, generator=generator)
        if len(shape) == 4:  # smooth images
            inputs = F.interpolate(F.avg_pool2d(inputs, 8), size=shape[2:], mode="bilinear")
        targets = {}
        for k, task in enumerate(self.tasks):
            weights = torch.randn(
                task.output.channels, shape[1], generator=torch.Generator().manual_seed(99 + k)
            )
            scores = torch.einsum("oc,bc...->bo...", weights, inputs)
            targets[task.name] = scores.argmax(1) if k % 3 == 0 else scores.tanh().to(dtype)
        return Batch(inputs.to(dtype), targets).to(self.device)

    @property
    def point(self) -> TrainingPoint:
        """Before the next step."""
        batch = self.batches[self.steps % len(self.batches)]
        return TrainingPoint(self.model, tuple(self.tasks), batch, self.optimizer, 1e-3, self.steps)

    def joint_step(self) -> None:
        """Forward, backward, Adam."""
        point = self.point
        self.optimizer.zero_grad(set_to_none=True)
        predictions = self.model(point.batch.inputs, [t.name for t in self.tasks])
        torch.stack(task_losses(self.tasks, predictions, point.batch.targets)).sum().backward()
        self.optimizer.step()
        self.steps += 1


def _task(index: int, kind: Any) -> Task:
    channels = (13, 1, 3)[index % 3]
    loss = (F.cross_entropy, F.l1_loss, F.mse_loss)[index % 3]
    metrics = {"mae": MeanAbsoluteError}
    return Task(f"t{index}", Output(kind, channels), loss, metrics, {"mae": False})


def naive(point: TrainingPoint, updates: Sequence[Sequence[int]]) -> list[list[Tensor]]:
    """All losses after each update, by a copy of the model and a whole forward pass of it."""
    names = [task.name for task in point.tasks]
    predictions = point.model(point.batch.inputs, names)
    losses = task_losses(point.tasks, predictions, point.batch.targets)
    shared = point.model.shared_parameters()
    gradients = []
    for t, loss in enumerate(losses):
        own = point.model.task_parameters(names[t])
        found = torch.autograd.grad(loss, [*shared, *own], retain_graph=t < len(losses) - 1)
        gradients.append(found)
    after = []
    for members in updates:
        model = copy.deepcopy(point.model)
        with torch.no_grad():
            for t in members:
                own = model.task_parameters(names[t])
                moved = [*model.shared_parameters(), *own]
                for p, gradient in zip(moved, gradients[t], strict=True):
                    p.sub_(gradient, alpha=point.learning_rate)
            predictions = model(point.batch.inputs, names)
            after.append(task_losses(point.tasks, predictions, point.batch.targets))
    return after


def naive_updates(kind: str, num_tasks: int) -> list[list[int]]:
    """TAG's singles, or PTG's singles and pairs."""
    singles = [[i] for i in range(num_tasks)]
    if kind == "tag":
        return singles
    return singles + [[i, j] for i in range(num_tasks) for j in range(i, num_tasks)]


def count(work: Workload, collector: AffinityCollector) -> Counts:
    """Counts the passes of one collection after the first."""
    counts = Counts()
    model: Any = work.model
    encode, decode, grad = model.encode, model.decode, torch.autograd.grad

    def counting_encode(*args: Any) -> Any:
        counts.encodes += 1
        return encode(*args)

    def counting_decode(features: Any, tasks: Sequence[str]) -> Any:
        counts.decodes += len(tasks)
        return decode(features, tasks)

    def counting_grad(*args: Any, **kwargs: Any) -> Any:
        counts.backwards += 1
        return grad(*args, **kwargs)

    model.encode, model.decode = counting_encode, counting_decode
    torch.autograd.grad = counting_grad
    try:
        collector.observe(work.point)
    finally:
        del model.encode, model.decode
        torch.autograd.grad = grad
    counts.backwards //= 2  # half of the calls walk back a head
    return counts


def past_probes(collector: AffinityCollector) -> AffinityCollector:
    """The same collector, many batches into its collection: the next noise probe is far."""
    collector.load_state_dict({**collector.state_dict(), "collected": 2**20})
    return collector


class Clock:
    """Times calls, waiting for the device.

    Args:
        device: Where they compute.
        kind: "wall"; "cpu" counts this process's time only, for a busy machine and one thread.
    """

    def __init__(self, device: torch.device, kind: str) -> None:
        self.device = device
        self._now = time.process_time if kind == "cpu" else time.perf_counter

    def __call__(self, run: Callable[[], object]) -> float:
        """Seconds of a call."""
        self._wait()
        start = self._now()
        run()
        self._wait()
        return self._now() - start

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def passes(work: Workload) -> dict[str, Callable[[], object]]:
    """The passes that the floor is counted in, each alone."""
    point = work.point
    names = [task.name for task in work.tasks]
    with torch.no_grad():
        features = point.model.encode(point.batch.inputs, names)

    def encode() -> None:
        with torch.no_grad():
            point.model.encode(point.batch.inputs, names)

    def decode() -> None:
        with torch.no_grad():
            task_losses(work.tasks, point.model.decode(features, names), point.batch.targets)

    def first() -> SharedPass:
        return shared_pass(point.model, point.tasks, point.batch, heads=False)

    return {
        "encode": encode,
        "decode": decode,
        "first pass": first,
        "gradients": lambda: task_gradients(first()),
    }


def bench_cost(model: str, num_tasks: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the first table."""
    work = Workload(model, num_tasks, options.device, dtype=torch.float32)
    clock = Clock(work.device, options.clock)
    collectors = {name: make() for name, make in COLLECTORS.items()}
    counts = {}
    for name, collector in collectors.items():
        work.joint_step()
        collector.observe(work.point)
        counts[name] = count(work, past_probes(collector))
    runs: dict[str, Callable[[], object]] = {
        name: lambda collector=collector: collector.observe(work.point)
        for name, collector in collectors.items()
    }
    if not options.no_naive:
        for kind in ("tag", "lookahead"):
            updates = naive_updates(kind, num_tasks)
            runs[f"{kind} naive"] = lambda updates=updates: naive(work.point, updates)
    runs |= passes(work)
    ratios: dict[str, list[float]] = {name: [] for name in runs}
    steps = []
    for _ in range(options.rounds):
        for name, run in runs.items():
            work.joint_step()
            step = statistics.median(clock(work.joint_step) for _ in range(3))
            steps.append(step)
            ratios[name].append(clock(run) / step)
    cost = {name: statistics.median(values) for name, values in ratios.items()}
    rows = []
    for name in [n for n in runs if n in COLLECTORS or n.endswith("naive")]:
        row: dict[str, Any] = {"model": model, "tasks": num_tasks, "collection": name}
        row |= {"joint step ms": round(1e3 * statistics.median(steps), 2)}
        row |= {"cost": round(cost[name], 2)}
        if name in counts:
            c = counts[name]
            row |= {"encoder forwards": c.encodes, "heads forward": c.decodes}
            row |= {"encoder backwards": c.backwards}
            if "sampled" not in name:  # the counted batch is not the timed ones
                floor = cost["first pass"] + (c.encodes - 1) * cost["encode"]
                floor += (c.decodes - num_tasks) * cost["decode"] / num_tasks
                floor += c.backwards * (cost["gradients"] - cost["first pass"]) / num_tasks
                row |= {"floor": round(floor, 2), "cost / floor": round(cost[name] / floor, 2)}
        naive_name = f"{name.split()[0]} naive"
        if naive_name in cost and name in ("tag", "lookahead"):
            row |= {"naive / this": round(cost[naive_name] / cost[name], 2)}
        rows.append(row)
    return rows


def bench_ranks(model: str, num_tasks: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the second table."""
    rough = Workload(model, num_tasks, options.device, dtype=torch.float32)
    fine = Workload(model, num_tasks, options.device, dtype=torch.float64)
    off = ~torch.eye(num_tasks, dtype=torch.bool)
    rows = []
    for steps in (0, options.trained):
        while rough.steps < steps:
            rough.joint_step()
        fine.model.load_state_dict(rough.model.state_dict())
        fine.steps = rough.steps
        for lr in LEARNING_RATES:
            for kind, make in (("tag", TAGCollector), ("lookahead", LookaheadCollector)):
                single = replace(rough.point, learning_rate=lr)
                truth = _gains(make(), replace(fine.point, learning_rate=lr))[off]
                collector: Any = make()
                exact = _gains(collector, single)[off]
                first = _gains(make(gains="first_order"), single)[off]
                row: dict[str, Any] = {"model": model, "tasks": num_tasks, "gain": kind}
                row |= {"steps": steps, "lr": lr}
                row |= {"float32 exact": round(float(spearmanr(exact, truth)[0]), 3)}
                row |= {"first order": round(float(spearmanr(first, truth)[0]), 3)}
                row |= {"median gain": f"{float(truth.abs().median()):.1e}"}
                row |= {"float32 error": f"{float((exact - truth).square().mean().sqrt()):.1e}"}
                row |= {"noise floor": f"{collector.affinity().noise_floor:.1e}"}
                rows.append(row)
    return rows


def _gains(collector: AffinityCollector, point: TrainingPoint) -> Tensor:
    collector.observe(point)
    return torch.from_numpy(collector.affinity().values)


@float32_rounding("fp32")
def main() -> None:
    """Measures, prints and writes the two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", nargs="+", choices=MODELS, default=["mlp", "resnet_small"])
    parser.add_argument("--tasks", nargs="+", type=int, default=[3, 5, 9])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--trained", type=int, default=50, help="steps before the second ranking")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench"))
    parser.add_argument("--quick", action="store_true", help="three rounds, ten steps")
    parser.add_argument("--no-naive", action="store_true", help="leave the naive ways out")
    parser.add_argument("--no-ranks", action="store_true", help="leave the second table out")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.trained = 3, 10
    torch.set_num_threads(options.threads)
    terminal = console()
    cost = [row for m in options.model for n in options.tasks for row in bench_cost(m, n, options)]
    where = f"{options.device}, {options.clock} time, {options.threads} threads, torch {torch.__version__}"
    title = f"Cost of a collected batch in joint steps ({where})"
    show(terminal, title, cost, words=WORDS)
    write(options.out, "collect_cost", title, cost)
    if not options.no_ranks:
        ranks = [row for m in options.model for row in bench_ranks(m, max(options.tasks), options)]
        title = "Rank correlation with exact float64 gains"
        show(terminal, title, ranks, words=WORDS)
        write(options.out, "collect_ranks", title, ranks)
    terminal.print(f"Written to {options.out}")


if __name__ == "__main__":
    main()
