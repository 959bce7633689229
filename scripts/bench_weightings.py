"""What a training step by every weighting costs, in multiples of a step with equal weights.

    python scripts/bench_weightings.py                    # all workloads, weightings and libraries
    python scripts/bench_weightings.py --work mlp9 --only cagrad nash_mtl --quick
    python scripts/bench_weightings.py --work vit5 --only selective
    python scripts/bench_weightings.py --device cuda
    pip install -e '.[bench]'                             # brings LibMTL and torchjd's solvers

Workloads: an MLP of 512, 512, 512 with 9 heads on 256 examples; ResNet-18 with 3 dense heads and ViT-tiny
with 5 and 11 of them, on 4 images of 96 x 128. All contestants train the same model with the same Adam,
fused unless `--adam plain`. Rounds go through all contestants in turn, each right after a step with
equal weights; the ratio is the median over rounds. Ratios of libraries stand under their names: torchjd
is its `mtl_backward` and `jac_to_grad`, autogram its engine for the Gramian of the shared encoder's
gradients, LibMTL its HPS architecture with a weighting, all called as they document. Autogram works on a copy
of the model, and weights the heads' gradients too. Rows `selective` are selective updates with the
tasks dealt to 2 and 3 fixed groups, which take as many optimizer steps a batch. A cell is empty where a library lacks the method, and says why where it fails.

The second table holds peak memory above the step with equal weights: on the CPU the resident set's, with
an allocator that gives every tensor back at once.

To add a row, add a function that makes a step to `CONTESTANTS`.
"""

import argparse
import copy
import ctypes
import statistics
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _bench import console, show, write
from bench_collect import Clock, Workload
from torch import nn
from torchjd import aggregation
from torchjd.autogram import Engine
from torchjd.autojac import jac_to_grad, mtl_backward

from mtlrun._catalogue import options as files
from mtlrun.config import compose
from mtlrun.core.method import StepSettings, UpdateRule
from mtlrun.core.model import task_losses
from mtlrun.core.seeding import seeded
from mtlrun.core.weighting import Weighting
from mtlrun.engine.device import float32_rounding
from mtlrun.updates._groupings import Static
from mtlrun.updates.joint import Joint
from mtlrun.updates.selective import Selective

# A module that LibMTL 1.1.5 imports and torchvision has no longer.
dropped = types.ModuleType("torchvision.models.utils")
dropped.load_state_dict_from_url = torch.hub.load_state_dict_from_url
sys.modules.setdefault(dropped.__name__, dropped)
try:
    import LibMTL.architecture
    import LibMTL.weighting
except ImportError:
    LibMTL = None

Step = Callable[[], object]
SELECTIVE = "selective"
WORKS = {
    "mlp9": ("mlp", 9),
    "resnet18x3": ("resnet18", 3),
    "resnet18x9": ("resnet18", 9),
    "vit5": ("vit_tiny", 5),
    "vit11": ("vit_tiny", 11),
}
TORCHJD: Mapping[str, Callable[[int], Any]] = {
    "equal": lambda _: aggregation.Sum(),
    "pcgrad": lambda _: aggregation.PCGrad(),
    "mgda": lambda _: aggregation.MGDA(),
    "cagrad": lambda _: aggregation.CAGrad(c=0.5),
    "nash_mtl": lambda count: aggregation.NashMTL(n_tasks=count),
    "imtl_g": lambda _: aggregation.IMTLG(),
    "aligned_mtl": lambda _: aggregation.AlignedMTL(),
    "graddrop": lambda _: aggregation.GradDrop(),
}
AUTOGRAM: Mapping[str, Callable[[], Any]] = {
    "pcgrad": aggregation.PCGradWeighting,
    "mgda": aggregation.MGDAWeighting,
    "cagrad": lambda: aggregation.CAGradWeighting(c=0.5),
    "imtl_g": aggregation.IMTLGWeighting,
    "aligned_mtl": aggregation.AlignedMTLWeighting,
}
LIBMTL: Mapping[str, tuple[str, dict[str, Any]]] = {
    "equal": ("EW", {}),
    "uw": ("UW", {}),
    "dwa": ("DWA", {"T": 2.0}),
    "gls": ("GLS", {}),
    "rlw": ("RLW", {"dist": "Normal"}),
    "pcgrad": ("PCGrad", {}),
    "mgda": ("MGDA", {"mgda_gn": "none"}),
    "cagrad": ("CAGrad", {"calpha": 0.5, "rescale": 1}),
    "nash_mtl": ("Nash_MTL", {"update_weights_every": 1, "optim_niter": 20, "max_norm": 1.0}),
    "imtl": ("IMTL", {}),
    "gradnorm": ("GradNorm", {"alpha": 1.5}),
    "aligned_mtl": ("Aligned_MTL", {}),
    "famo": ("FAMO", {"FAMO_w_lr": 0.025, "FAMO_w_gamma": 1e-3}),
    "graddrop on features": ("GradDrop", {"leak": 0.0}),
}


class Bench:
    """A workload, and Adams that share the moments of the model's parameters.

    Args:
        work: The model, its tasks and batches.
        adam: "fused" or "plain".
    """

    def __init__(self, work: Workload, adam: str) -> None:
        self.work, self.fused = work, adam == "fused"
        self.parameters = list(work.model.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=1e-4, fused=self.fused)
        self.names = [task.name for task in work.tasks]
        for p in self.parameters:
            p.grad = torch.zeros_like(p)
        self.optimizer.step()

    def adam(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
        """One for the model's parameters and some more."""
        made = torch.optim.Adam(parameters, lr=1e-4, fused=self.fused)
        made.state.update(self.optimizer.state)
        return made

    def batch(self) -> Any:
        """The next one."""
        self.work.steps += 1
        return self.work.batches[self.work.steps % len(self.work.batches)]

    def losses(self, batch: Any, predictions: Any) -> list[torch.Tensor]:
        """Of all tasks."""
        return task_losses(self.work.tasks, predictions, batch.targets)


def ours(bench: Bench, weighting: Weighting) -> Step:
    """A step of the joint rule."""
    return by_rule(bench, Joint(weighting))


def by_rule(bench: Bench, rule: UpdateRule) -> Step:
    """A step of any rule."""
    rule.setup(bench.work.model, bench.work.tasks, bench.adam, StepSettings())

    def step() -> None:
        rule.step(bench.batch())

    return step


def torchjd_step(bench: Bench, aggregator: Any) -> Step:
    """A step by torchjd's engine for shared features."""
    model = bench.work.model
    shared = model.shared_parameters()

    def step() -> None:
        batch = bench.batch()
        features = model.encode(batch.inputs, bench.names)
        losses = bench.losses(batch, model.decode(features, bench.names))
        mtl_backward(losses, features=features)
        jac_to_grad(shared, aggregator)
        bench.optimizer.step()
        bench.optimizer.zero_grad()

    return step


def autogram_step(bench: Bench, weighting: Any) -> Step:
    """A step by torchjd's engine for Gramians; its hooks stay on a copy of the model."""
    model = copy.deepcopy(bench.work.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=bench.fused)
    engine = Engine(model.backbone, batch_dim=None)  # losses are means over the batch

    def step() -> None:
        batch = bench.batch()
        losses = torch.stack(bench.losses(batch, model(batch.inputs, bench.names)))
        weights = weighting(engine.compute_gramian(losses))
        losses.backward(weights)
        optimizer.step()
        optimizer.zero_grad()

    return step


def libmtl_step(bench: Bench, name: str, settings: dict[str, Any]) -> Step:
    """A step by LibMTL's trainer, less its loading, metrics and prints."""
    weighting = getattr(LibMTL.weighting, name)
    model, device = bench.work.model, bench.work.device
    kind = type("MTLModel", (LibMTL.architecture.HPS, weighting), {})
    own = kind(bench.names, lambda: model.backbone, model.heads, name == "GradDrop", False, device)
    own.init_param()
    # Written for a torch whose zero_grad leaves zeros.
    own.zero_grad_share_params = lambda: model.backbone.zero_grad(set_to_none=False)
    own.epoch, own.train_loss_buffer = 2, torch.ones(len(bench.names), 3).numpy()
    optimizer = bench.adam(own.parameters())

    def step() -> None:
        batch = bench.batch()
        losses = torch.stack(bench.losses(batch, own(batch.inputs)))
        optimizer.zero_grad()
        own.backward(losses, **settings)
        optimizer.step()

    return step


def own_contestants(bench: Bench, wanted: Sequence[str]) -> dict[str, Callable[[], Step]]:
    """One for every file of conf/weighting; some on features too."""
    made: dict[str, Callable[[], Step]] = {}
    for name in files("weighting"):
        if name not in wanted:
            continue
        factory = compose([f"weighting={name}"]).factories["weighting"]
        made[name] = lambda factory=factory: ours(bench, _seeded(factory))
        if factory.arguments.get("grad_on") == "parameters":
            own = compose([f"weighting={name}", "weighting.grad_on=features"])
            made[f"{name} on features"] = lambda own=own: ours(
                bench, _seeded(own.factories["weighting"])
            )
    return made


def selective_contestants(bench: Bench, wanted: Sequence[str]) -> dict[str, Callable[[], Step]]:
    """Selective updates with fixed groups, which are credited with their own step or the one before."""
    if SELECTIVE not in wanted:
        return {}
    tasks = range(len(bench.names))

    def make(num_groups: int, attribution: Any) -> Step:
        groups = Static([tasks[k::num_groups] for k in range(num_groups)])
        return by_rule(bench, Selective(groups, seed=0, attribution=attribution))

    return {
        f"{SELECTIVE} M={count} {attribution}": partial(make, count, attribution)
        for count in (2, 3)
        for attribution in ("exact", "lagged")
    }


def autogram_contestants(bench: Bench, wanted: Sequence[str]) -> dict[str, Callable[[], Step]]:
    """Its engine for Gramians by the weightings that need no more."""
    return {
        name: partial(lambda make: autogram_step(bench, make()), make)
        for name, make in AUTOGRAM.items()
        if name in wanted
    }


def torchjd_contestants(bench: Bench, wanted: Sequence[str]) -> dict[str, Callable[[], Step]]:
    """Its engine by every aggregator that it shares with us."""
    count = len(bench.names)
    return {
        name: lambda make=make: torchjd_step(bench, make(count))
        for name, make in TORCHJD.items()
        if name in wanted
    }


def libmtl_contestants(bench: Bench, wanted: Sequence[str]) -> dict[str, Callable[[], Step]]:
    """Its weightings, those that the installed version has."""
    if LibMTL is None:
        return {}
    return {
        name: lambda kind=kind, settings=settings: libmtl_step(bench, kind, settings)
        for name, (kind, settings) in LIBMTL.items()
        if name.split()[0] in wanted and hasattr(LibMTL.weighting, kind)
    }


# By the name of a column: who competes, by row, each as a function that makes its step.
CONTESTANTS: dict[str, Callable[[Bench, Sequence[str]], dict[str, Callable[[], Step]]]] = {
    "mtlrun": lambda *of: own_contestants(*of) | selective_contestants(*of),
    "torchjd": torchjd_contestants,
    "autogram": autogram_contestants,
    "LibMTL": libmtl_contestants,
}


def _seeded(factory: Callable[[], Any]) -> Any:
    with seeded(0, "weighting"):
        return factory()


def bench_work(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of both tables for one workload."""
    model, num_tasks = WORKS[name]
    bench = Bench(Workload(model, num_tasks, options.device, dtype=torch.float32), options.adam)
    clock = Clock(bench.work.device, options.clock)
    equal = ours(bench, _seeded(compose(["weighting=equal"]).factories["weighting"]))
    equal()
    steps: dict[tuple[str, str], Step] = {}
    failures: dict[tuple[str, str], str] = {}
    for column, contestants in CONTESTANTS.items():
        for row, make in contestants(bench, options.only).items():
            try:
                step = make()
                step()
                steps[row, column] = step
            except Exception as error:  # a library's failure is a result
                if column == "mtlrun":
                    raise
                failures[row, column] = f"fails: {type(error).__name__}"
                print(f"{name}, {column} {row}: {type(error).__name__}: {error}", file=sys.stderr)
                bench.optimizer.zero_grad()
    ratios: dict[tuple[str, str], list[float]] = {key: [] for key in steps}
    seconds = []
    for _ in range(options.rounds):
        for key, step in steps.items():
            before = min(clock(equal) for _ in range(2))
            ratios[key].append(clock(step) / before)
            seconds.append(before)
    peaks = {} if options.no_memory else measure_memory(bench, equal, steps)
    rows = []
    for row in dict.fromkeys(row for row, _ in [*steps, *failures]):
        cells: dict[str, Any] = {"work": name, "weighting": row}
        cells |= {"equal ms": round(1e3 * statistics.median(seconds), 1)}
        for column in CONTESTANTS:
            key = row, column
            found = ratios.get(key)
            cells[column] = (
                failures.get(key, "") if found is None else round(statistics.median(found), 2)
            )
        cells |= {f"{column} MB": peaks.get((row, column), "") for column in CONTESTANTS}
        rows.append(cells)
    return rows


def measure_memory(
    bench: Bench, equal: Step, steps: Mapping[tuple[str, str], Step]
) -> dict[tuple[str, str], int]:
    """Megabytes of a step's peak above that of one with equal weights."""
    if bench.work.device.type == "cpu":
        ctypes.CDLL("libc.so.6").mallopt(-3, 2**16)  # larger blocks are mapped, and given back
    for _ in range(2):
        equal()
    base = _peak(bench, equal)
    return {key: round((_peak(bench, step) - base) / 2**20) for key, step in steps.items()}


def _peak(bench: Bench, step: Step) -> int:
    for p in bench.parameters:
        p.grad = None
    if bench.work.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    step()
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


@float32_rounding("fp32")
def main() -> None:
    """Measures, prints and writes the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--only", nargs="+", default=[*files("weighting"), SELECTIVE], help="rows")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--adam", choices=("fused", "plain"), default="fused")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench"))
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument("--no-memory", action="store_true", help="leave the peaks out")
    options = parser.parse_args()
    options.rounds = 3 if options.quick else options.rounds
    torch.set_num_threads(options.threads)
    if LibMTL is None:
        print(
            "LibMTL cannot be imported and is left out: pip install -e '.[bench]'", file=sys.stderr
        )
    shown = ["work", "weighting", "equal ms", *CONTESTANTS]
    memory = ["work", "weighting", *(f"{column} MB" for column in CONTESTANTS)]
    where = (
        f"{options.device}, {options.clock} time, {options.threads} threads, {options.adam} Adam, "
        f"torch {torch.__version__}"
    )
    terminal, rows = console(), list[dict[str, Any]]()
    for name in options.work:
        own = bench_work(name, options)
        rows += own
        for file, title, columns in (
            ("weightings_time", f"A step in multiples of one with equal weights ({where})", shown),
            ("weightings_memory", f"Peak memory above a step with equal weights ({where})", memory),
        ):
            if columns is memory and options.no_memory:
                continue
            show(terminal, title, _columns(own, columns), words=("work", "weighting"))
            write(options.out, file, title, _columns(rows, columns))  # of all workloads so far
    terminal.print(f"Written to {options.out}")


def _columns(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[dict[str, Any]]:
    return [{column: row[column] for column in columns} for row in rows]


if __name__ == "__main__":
    main()
