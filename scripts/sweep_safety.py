"""Is sharing safe? single_task, hps and the three DSMTL methods on the built-in rooms, with Delta_I and eta.

    python scripts/sweep_safety.py                       # three tasks, three seeds: 20 minutes of one core
    python scripts/sweep_safety.py --budget training     # 15 more: what is the same is not trained again
    python scripts/sweep_safety.py --seeds 0 --epochs 2  # two minutes

Every run is one of the command's: finished runs are not repeated, an interrupted one is resumed, and
the single-task trainings are shared through the store. Budgets are equal in one of two ways:

    total      a task's model takes part in the same number of optimizer steps, all phases together:
               the two phases of dsmtl_il and dsmtl_al take half of the epochs each
    training   every training of a model that is scored takes the same number of steps, what comes
               before it on top: dsmtl_il's first stage, which is then the single-task reference
               itself, and dsmtl_al's search, which takes half as many

Delta_I is the mean over tasks of the mean over their metrics of the signed relative change to the
single-task model of the same seed (a share, positive is better); eta the mean over tasks of the share
of their metrics that are no worse than it, in percent [DSMTL, Section 7.1]. Both are of the test
split, by seed, then mean and sample standard deviation; least_change is the worst of all relative
changes of a metric. dsmtl_il_safe is dsmtl_il with gates that begin at 0 and the better stage of each
task on the validation split; its parameters are those of both stages.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _sweep
from _sweep import Result, common, deviation, seconds, table, write

from mtlrun.reports.aggregates import delta_i, relative_change, safeness
from mtlrun.reports.learned import learned_lines

METHODS = ("single_task", "hps", "dsmtl_jl", "dsmtl_il", "dsmtl_il_safe", "dsmtl_al")
# At a paper's rate of 1e-4 the logits would hardly leave their start in some hundred steps.
EXTRA = {
    "dsmtl_il_safe": ("method.alpha_init=0", "method.keep=best"),
    "dsmtl_al": ("method.architecture_lr=0.02",),
}
IN_TWO_PHASES = ("dsmtl_il", "dsmtl_il_safe", "dsmtl_al")
COLUMNS = (
    "method", "delta_i", "delta_i_std", "eta", "eta_std", "least_change", "parameters", "steps",
    "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One run beside the single-task run of its seed.

    Attributes:
        delta_i: A share; positive is better than single-task.
        eta: Percent of metrics that are no worse.
        least_change: The worst relative change of a metric.
    """

    delta_i: float
    eta: float
    least_change: float


def compare(result: Result, reference: Result) -> Comparison:
    """Delta_I and eta of a run's test scores.

    Args:
        result: The content of its result.json.
        reference: That of the single-task run.

    Raises:
        ValueError: If a metric is missing, not finite, or 0 for the single-task model.
    """
    directions = {task["name"]: task["directions"] for task in result["tasks"]}
    own, before = result["scores"]["test"], reference["scores"]["test"]
    whole, safe = delta_i(own, before, directions), safeness(own, before, directions)
    if whole is None or safe is None:
        raise ValueError(
            f"Every metric should be finite, and not 0 for the single-task models. Found {own} and "
            f"{before}."
        )
    changes = [
        relative_change(own[task][metric], before[task][metric], higher_is_better=higher)
        for task, metrics in directions.items()
        for metric, higher in metrics.items()
    ]
    return Comparison(whole, safe, min(change for change in changes if change is not None))


def words(method: str, seed: int, options: argparse.Namespace) -> list[str]:
    """The settings of a run."""
    halved = options.budget == "total" and method in IN_TWO_PHASES
    epochs = options.epochs // 2 if halved else options.epochs
    shorter = options.budget == "training" and method == "dsmtl_al"
    search = [f"trainer.collect_epochs={epochs // 2}"] if shorter else []
    return [
        f"method={method.removesuffix('_safe')}",
        *common(options.folder, options.tasks, seed, epochs),
        *search,
        *EXTRA.get(method, ()),
        *options.set,
    ]


def run(method: str, seed: int, options: argparse.Namespace) -> Result:
    """A run, or its stored result."""
    folder = options.folder / options.budget / method / f"seed{seed}"
    return _sweep.run(words(method, seed, options), folder)


def row(method: str, results: Sequence[Result], references: Sequence[Result]) -> dict[str, Any]:
    """A line of the table, over seeds."""
    found = [compare(*pair) for pair in zip(results, references, strict=True)]
    deltas, etas = [own.delta_i for own in found], [own.eta for own in found]
    return {
        "method": method,
        "delta_i": round(statistics.fmean(deltas), 4),
        "delta_i_std": round(deviation(deltas), 4),
        "eta": round(statistics.fmean(etas), 1),
        "eta_std": round(deviation(etas), 1),
        "least_change": round(min(own.least_change for own in found), 4),
        "parameters": round(statistics.fmean(_num_parameters(r) for r in results)),
        "steps": sum(t["num_steps"] for t in results[0]["trainings"]),
        "seconds": seconds(results),
    }


def _num_parameters(result: Result) -> int:
    """Of all models that a group of the plan is served by."""
    planned = {frozenset(group["tasks"]) for group in result["plan"]["groups"]}
    return sum(
        training["num_parameters"]
        for training in result["trainings"]
        if training["phase"] == "train" and frozenset(training["tasks"]) in planned
    )


def main() -> None:
    """Runs what is missing and writes the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--tasks", nargs="+", default=["segmentation", "depth", "normals"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=12, help="of single_task; even")
    parser.add_argument("--budget", choices=("total", "training"), default="total")
    parser.add_argument("--folder", type=Path, default=Path("outputs/safety"))
    parser.add_argument("--set", nargs="*", default=[], help="further settings of every run")
    options = parser.parse_args()
    _sweep.pass_on_sigterm()
    if options.epochs < 2 or options.epochs % 2:
        parser.error(f"--epochs should be even and positive, to be halved. Found {options.epochs}.")
    references = [run("single_task", seed, options) for seed in options.seeds]
    rows: list[dict[str, Any]] = []
    learned: list[str] = []
    path = options.folder / f"safety_{options.budget}.csv"
    for method in options.methods:
        results = [run(method, seed, options) for seed in options.seeds]
        rows.append(row(method, results, references))
        write(rows, COLUMNS, path)  # what is known so far, if a later run fails
        for seed, result in zip(options.seeds, results, strict=True):
            learned += [f"{method}, seed {seed}, {line}\n" for line in learned_lines(result)]
    sys.stdout.write(f"{table(rows, COLUMNS)}\n{''.join(learned)}\n{path}\n")


if __name__ == "__main__":
    main()
