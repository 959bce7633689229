"""VMTL and its baselines on Office-Caltech features: average accuracy over domains, and two ablations.

    python scripts/sweep_vmtl.py --features FOLDER                      # Table C.5: six methods
    python scripts/sweep_vmtl.py --features FOLDER --table priors       # Table C.11: weights of priors
    python scripts/sweep_vmtl.py --features FOLDER --table bayes        # Table C.8: what is random
    python scripts/sweep_vmtl.py --features FOLDER --table all --iterations 500 --seeds 0 --jobs 2
    python scripts/sweep_vmtl.py --features FOLDER --rows bmtl vmtl --iterations 15000

FOLDER holds the folders GoogleNet1024 and surf of .mat files. A cell is mean and sample standard deviation
over seeds of the mean accuracy over domains, in percent, on the test examples after the last iteration;
every seed has a split of its own. The CSV beside holds every domain's accuracy too. Every run is one of
the command's, its schedules shortened to --iterations: finished runs are not repeated, an interrupted one is
resumed, tables share runs.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import _sweep
from _sweep import Result, deviation, table, write

SHARES = (0.05, 0.1, 0.2)
PAPER_ITERATIONS = 15_000


@dataclass(frozen=True)
class Row:
    """A line of a table: its name, and what its runs are set to beside what all are."""

    name: str
    words: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Of its runs, the same in every table."""
        words = [word.removeprefix("method=").removeprefix("method.") for word in self.words]
        return "-".join(words).replace("=", "-")


def plain(method: str) -> Row:
    """A method as it comes."""
    return Row(method, (f"method={method}",))


def vmtl(name: str, *settings: str) -> Row:
    """VMTL with settings."""
    return Row(name, ("method=vmtl", *settings))


OURS = ("method=vmtl",)
TABLES: Mapping[str, Sequence[Row]] = {
    "methods": [
        plain(method) for method in ("single_task", "vstl", "bmtl", "vbmtl", "vmtl_ac", "vmtl")
    ],
    "priors": [
        vmtl("mean", "method.prior=mean"),
        vmtl("learnable", "method.prior=learnable"),
        Row("gumbel", OURS),
    ],
    "bayes": [
        plain("bmtl"),
        vmtl("z random", "method.bayesian_w=false"),
        vmtl("w random", "method.bayesian_z=false"),
        Row("z and w random", OURS),
    ],
}


@dataclass(frozen=True)
class Cell:
    """The runs of a row on one split size of one kind of features, a seed each."""

    row: Row
    descriptor: str
    share: float

    @property
    def column(self) -> str:
        """In the table."""
        return f"{self.descriptor} {self.share:.0%}"


def rows_of(name: str, chosen: Sequence[str] | None) -> list[Row]:
    """The lines of a table that have a chosen name; None for all."""
    return [row for row in TABLES[name] if chosen is None or row.name in chosen]


def result_of(cell: Cell, seed: int, options: argparse.Namespace) -> Result:
    """A run, or its stored result."""
    words = [
        "data=office_caltech",
        f"data.features={options.features}",
        f"data.descriptor={cell.descriptor}",
        f"data.train_share={cell.share}",
        f"seed={seed}",
        *schedules(options.iterations, cell.row),
        f"trainer.eval_every={options.iterations}",
        f"trainer.device={options.device}",
        f"store={options.folder / 'store'}",
        *cell.row.words,
        *options.set,
    ]
    name = f"{cell.descriptor}/{cell.share}/{cell.row.folder}/seed{seed}"
    return _sweep.run(words, options.folder / name, inside=True)


def schedules(iterations: int, row: Row) -> list[str]:
    """The paper's schedules, of 15000 iterations, in fewer: rates, temperatures, weights of divergences.

    A run ends at the same weight and temperature, and has halved its learning rate as often.
    """
    share = iterations / PAPER_ITERATIONS
    words = [f"trainer.epochs={iterations}", f"scheduler.every={max(1, round(3000 * share))}"]
    method = row.words[0].removeprefix("method=")
    if method in ("vstl", "vbmtl", "vmtl", "vmtl_ac"):
        words.append(f"method.divergences.w={4e-7 / share:.4g}")
    if method in ("vmtl", "vmtl_ac"):
        every = max(1, round(1000 * share))
        words += [
            f"method.temperature.every={every}",
            f"method.temperature.rate={0.03 / every:.4g}",
        ]
    return words


def average(result: Result) -> float:
    """The mean accuracy over domains, in percent."""
    scores = result["scores"]["test"].values()
    return 100 * statistics.fmean(own["accuracy"] for own in scores)


def make(name: str, options: argparse.Namespace) -> None:
    """Runs what a table lacks, several at a time, and prints it."""
    rows = rows_of(name, options.rows)
    cells = [
        Cell(row, descriptor, share)
        for row in rows
        for descriptor in options.descriptors
        for share in options.shares
    ]
    wanted = [(cell, seed) for cell in cells for seed in options.seeds]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(result_of, cell, seed, options) for cell, seed in wanted]
        found = [task.result() for task in tasks]
    results = {
        cell: [r for (c, _), r in zip(wanted, found, strict=True) if c == cell] for cell in cells
    }
    columns = ["method", *dict.fromkeys(cell.column for cell in cells)]
    lines: list[dict[str, Any]] = [{"method": row.name} for row in rows]
    details = []
    for line in lines:
        for cell in cells:
            if cell.row.name == line["method"]:
                values = [average(result) for result in results[cell]]
                line[cell.column] = f"{statistics.fmean(values):.1f} +- {deviation(values):.1f}"
                details += _details(cell, results[cell], options.seeds)
    path = options.folder / f"{name}.csv"
    write(details, list(dict.fromkeys(key for own in details for key in own)), path)
    sys.stdout.write(f"{table(lines, columns)}\n{path}\n\n")


def main() -> None:
    """Makes one table, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--table", choices=(*TABLES, "all"), default="methods")
    names = dict.fromkeys(row.name for rows in TABLES.values() for row in rows)
    parser.add_argument("--rows", nargs="+", choices=names, help="of the tables; default all")
    parser.add_argument("--descriptors", nargs="+", default=["googlenet", "surf"])
    parser.add_argument("--shares", nargs="+", type=float, default=list(SHARES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--iterations", type=int, default=1000, help="paper: 15000, whose schedules are shortened"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--folder", type=Path, default=Path("outputs/vmtl"))
    parser.add_argument("--set", nargs="*", default=[], help="further settings of every run")
    options = parser.parse_args()
    _sweep.pass_on_sigterm()
    tables = [name for name in TABLES if options.table in (name, "all")]
    there = {row.name for name in tables for row in rows_of(name, None)}
    if missing := [name for name in options.rows or () if name not in there]:
        parser.error(
            f"--rows should be of --table {options.table}: {', '.join(sorted(there))}. Found {missing}."
        )
    for name in TABLES:
        if options.table in (name, "all") and rows_of(name, options.rows):
            make(name, options)


def _details(cell: Cell, results: Sequence[Result], seeds: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "features": cell.descriptor,
            "share": cell.share,
            "method": cell.row.name,
            "seed": seed,
            "average": f"{average(result):.2f}",
        }
        | {task: f"{100 * own['accuracy']:.2f}" for task, own in result["scores"]["test"].items()}
        for seed, result in zip(seeds, results, strict=True)
    ]


if __name__ == "__main__":
    main()
