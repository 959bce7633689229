"""Lazy collection of transfer gains on ETTm1: how much faster, how good its groups (PTG, Figure 4).

    python scripts/sweep_lazy.py --data ETTm1_part.csv                       # seven intervals, three seeds
    python scripts/sweep_lazy.py --data ETTm1_part.csv --intervals 1 10 --seeds 0 --set trainer.epochs=1

A small Autoformer (experiment=ettm1_small). `total` is the sum over the seven series of the test MAE of the
group that serves it, mean and sample standard deviation over seeds; `improvement` is how far it is below the
total of random groups of the same seed, in percent, as in the paper; `speed-up` is the time of the training
that collects at every batch over that of one that collects at every Nth, with an evaluation at the end only.
`same` is the share of seeds whose groups are those of interval 1. Times are of runs one after another: let
nothing else compute. The second table is of the solvers on the gains of interval 1: Table 5 with ETTm1's own
matrix instead of a published one. Finished runs are not repeated, an interrupted one is resumed.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import _sweep
from _sweep import Result, deviation, table, write

from mtlrun.core.grouping import Affinity
from mtlrun.solvers import solve

INTERVALS = (1, 5, 10, 25, 50, 100, 200)
# arXiv:2402.15328, Figure 4, ETTm1: improvement over random groups in percent, and speed-up.
PAPER = {
    1: (5.76, 1.0), 5: (9.48, 4.62), 10: (9.20, 8.45), 25: (8.75, 16.64), 50: (8.75, 24.94),
    100: (6.70, 33.24), 200: (5.87, 39.16),
}  # fmt: skip
COLUMNS = (
    "interval", "observations", "collect s", "speed-up", "paper's", "total", "improvement",
    "paper's %", "same",
)  # fmt: skip


def result_of(name: str, words: Sequence[str], seed: int, options: argparse.Namespace) -> Result:
    """A run, or its stored result."""
    all_words = [
        "experiment=ettm1_small",
        f"data.path={options.data.resolve()}",
        "data.split=[0.6,0.2,0.2]",
        f"solver.num_groups={options.groups}",
        f"seed={seed}",
        f"store={options.folder / 'store'}",
        f"trainer.eval_every={options.eval_every}",
        *words,
        *options.set,
    ]
    return _sweep.run(all_words, options.folder / name / f"seed{seed}")


def total(result: Result) -> float:
    """The sum of the series' MAEs on the test split."""
    return sum(own["mae"] for own in result["scores"]["test"].values())


def collect_seconds(result: Result) -> float:
    """Of the training that collected, by whichever run."""
    (found,) = [own["seconds"] for own in result["trainings"] if own["phase"] == "collect"]
    return float(found)


def groups(result: Result) -> set[frozenset[str]]:
    """The groups that were trained."""
    return {frozenset(group["tasks"]) for group in result["plan"]["groups"]}


def affinity_of(name: str, seed: int, options: argparse.Namespace) -> Affinity:
    """What a run collected."""
    path = options.folder / name / f"seed{seed}" / "affinity.json"
    return Affinity.from_json(path.read_text(encoding="utf-8"))


def row(interval: int, runs: Mapping[int, list[Result]], options: argparse.Namespace) -> Any:
    """A line of the first table."""
    own, random = runs[interval], runs[0]
    gains = [100 * (1 - total(o) / total(r)) for o, r in zip(own, random, strict=True)]
    totals = [total(result) for result in own]
    seconds = statistics.fmean(map(collect_seconds, own))
    printed = PAPER.get(interval)
    line = {
        "interval": interval,
        "observations": affinity_of(str(interval), options.seeds[0], options).num_observations,
        "collect s": f"{seconds:.1f}",
        "total": f"{statistics.fmean(totals):.3f} +- {deviation(totals):.3f}",
        "improvement": f"{statistics.fmean(gains):.2f} +- {deviation(gains):.2f}",
    }
    if 1 in runs:
        each = zip(runs[1], own, strict=True)
        ratios = [collect_seconds(a) / collect_seconds(b) for a, b in each]
        same = [groups(a) == groups(b) for a, b in zip(runs[1], own, strict=True)]
        line |= {
            "speed-up": f"{statistics.fmean(ratios):.2f}",
            "same": f"{statistics.fmean(same):.2f}",
        }
    if printed is not None:
        line |= {"paper's": printed[1], "paper's %": printed[0]}
    return line


def solver_rows(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds of the solvers on the gains of the shortest interval."""
    affinity = affinity_of(str(options.intervals[0]), options.seeds[0], options)
    lines = []
    for num_groups in range(2, len(affinity.tasks)):
        line: dict[str, Any] = {"groups": num_groups}
        for name in ("exact", "column_generation", "mip"):
            begin = time.perf_counter()
            plan = solve(affinity.values, num_groups=num_groups, solver=name)
            line[f"{name} s"] = f"{time.perf_counter() - begin:.3g}"
            line["value"] = f"{plan.objective:.5g}"
        lines.append(line)
    return lines


def main() -> None:
    """Runs what is lacking and prints both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the CSV of ETTm1, or a part")
    parser.add_argument("--intervals", nargs="+", type=int, default=list(INTERVALS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--groups", type=int, default=3)
    parser.add_argument("--eval-every", type=int, default=3, help="epochs")
    parser.add_argument("--folder", type=Path, default=Path("outputs/lazy"))
    parser.add_argument("--set", nargs="*", default=[], help="further settings of every run")
    options = parser.parse_args()
    _sweep.pass_on_sigterm()
    runs: dict[int, list[Result]] = {}
    for interval in (*options.intervals, 0):
        words = [f"method.collector.every={interval}", "method=lookahead"]
        words = words if interval else ["method=random"]
        name = str(interval) if interval else "random"
        runs[interval] = [result_of(name, words, seed, options) for seed in options.seeds]
    lines = [row(interval, runs, options) for interval in options.intervals]
    randoms = [total(result) for result in runs[0]]
    lines.append(
        {
            "interval": "random",
            "total": f"{statistics.fmean(randoms):.3f} +- {deviation(randoms):.3f}",
        }
    )
    write(lines, COLUMNS, options.folder / "lazy.csv")
    found = solver_rows(options)
    columns = list(found[0]) if found else ["groups"]
    write(found, columns, options.folder / "solvers.csv")
    sys.stdout.write(f"{table(lines, COLUMNS)}\n{table(found, columns)}\n{options.folder}\n")


if __name__ == "__main__":
    main()
