"""The numbers that papers print, from the package's own files."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from mtlrun.reports.aggregates import Directions

FOLDER = Path(__file__).resolve().parent / "papers"
PAPERS = ("dsmtl", "ptg", "selective", "vmtl")
OVER_TASKS = ("Total", "Average", "Avg.", "Model", "solver time", "transfer gain collection")
_BARELY = 1e-9  # "-0.00" is a change for the worse that rounds to nothing


@dataclass(frozen=True)
class Printed:
    """One number of a table.

    Attributes:
        table: "table2", "d1", "figure4".
        dataset: As the paper names it.
        backbone: Likewise.
        setting: What is set in the row or column, as "train split 5%"; empty for nothing.
        method: The row's name.
        group: From 1, the row of a method that has one for every group; None else.
        task: The column's task, or one of `OVER_TASKS`.
        metric: The column's metric.
        higher_is_better: None where neither is.
        text: As printed, but for misprints that are read as something else.
        std: What stands after the plus-minus; None without.
        is_delta: Whether it is an improvement over single-task learning, positive is better.
        note: On the cell.
    """

    table: str
    dataset: str
    backbone: str
    setting: str
    method: str
    group: int | None
    task: str
    metric: str
    higher_is_better: bool | None
    text: str
    std: float | None
    is_delta: bool
    note: str

    @property
    def value(self) -> float:
        """The number; "-0.00" is just below 0."""
        number = float(self.text)
        return -_BARELY if number == 0 and self.text.startswith("-") else number


@dataclass(frozen=True)
class Misprint:
    """What is wrong with a cell or, where names are empty, with all such cells of a table."""

    setting: str
    method: str
    task: str
    metric: str
    printed: str
    read_as: str
    reason: str

    @property
    def text(self) -> str:
        """In a line."""
        where = " ".join(
            part for part in (self.method, self.setting, self.task, self.metric) if part
        )
        read = f", read as {self.read_as}" if self.read_as else ""
        return f"{where}: {self.printed or 'as printed'}{read}: {self.reason}"

    def fits(self, cell: Printed) -> bool:
        """Whether it speaks of a cell."""
        return all(
            own in ("", given)
            for own, given in (
                (self.setting, cell.setting),
                (self.method, cell.method),
                (self.task, cell.task),
                (self.metric, cell.metric),
            )
        )


def table_names() -> list[str]:
    """All tables, as "dsmtl/table2"."""
    return [
        f"{paper}/{table}"
        for paper in PAPERS
        for table in dict.fromkeys(row["table"] for row in _rows(paper))
    ]


def read_table(name: str) -> list[Printed]:
    """A table's numbers, in its order; misprints whose true value is known are read as that.

    Args:
        name: As "dsmtl/table2".
    """
    paper, _, table = name.partition("/")
    noted = misprints(name)
    return [_corrected(_cell(row), noted) for row in _rows(paper) if row["table"] == table]


def misprints(name: str) -> list[Misprint]:
    """What is known to be wrong with a table."""
    paper, _, table = name.partition("/")
    return [
        Misprint(**{key: value for key, value in row.items() if key not in ("paper", "table")})
        for row in _read(FOLDER / "misprints.csv")
        if (row["paper"], row["table"]) == (paper, table)
    ]


def absolute(cells: Sequence[Printed]) -> list[Printed]:
    """The cells with improvements over single-task learning added to the table's row of that.

    Improvements of tables without such a row stay what they are.
    """
    single = {
        (cell.dataset, cell.task, cell.metric): cell
        for cell in cells
        if cell.method in ("STL", "Single Task") and not cell.is_delta
    }
    return [_added(cell, single.get((cell.dataset, cell.task, cell.metric))) for cell in cells]


def scores_of_rows(
    cells: Iterable[Printed],
) -> dict[tuple[str, str, str], dict[str, dict[str, float]]]:
    """By dataset, method and setting: the tasks' scores, the best over groups where there are several."""
    found: dict[tuple[str, str, str], dict[str, dict[str, float]]] = {}
    for cell in cells:
        if cell.task in OVER_TASKS:
            continue
        row = found.setdefault((cell.dataset, cell.method, cell.setting), {})
        own = row.setdefault(cell.task, {})
        better = max if cell.higher_is_better else min
        own[cell.metric] = better(own.get(cell.metric, cell.value), cell.value)
    return found


def directions_of_rows(cells: Iterable[Printed], dataset: str) -> Directions:
    """By task, by metric, of one dataset."""
    found: dict[str, dict[str, bool]] = {}
    for cell in cells:
        if cell.task not in OVER_TASKS and cell.dataset == dataset:
            found.setdefault(cell.task, {})[cell.metric] = bool(cell.higher_is_better)
    return found


def _added(cell: Printed, single: Printed | None) -> Printed:
    if not cell.is_delta or single is None:
        return cell
    value = single.value + (cell.value if cell.higher_is_better else -cell.value)
    return replace(cell, text=repr(value), is_delta=False)


def _cell(row: Mapping[str, str]) -> Printed:
    return Printed(
        table=row["table"],
        dataset=row["dataset"],
        backbone=row["backbone"],
        setting=row["setting"],
        method=row["method"],
        group=int(row["group"]) if row["group"] else None,
        task=row["task"],
        metric=row["metric"],
        higher_is_better={"higher": True, "lower": False, "": None}[row["direction"]],
        text=row["value"],
        std=float(row["std"]) if row["std"] else None,
        is_delta=row["kind"] == "delta_vs_stl",
        note=row["note"],
    )


def _corrected(cell: Printed, noted: Sequence[Misprint]) -> Printed:
    for own in noted:
        if own.read_as and own.fits(cell):
            return replace(cell, text=own.read_as)
    return cell


@cache
def _rows(paper: str) -> list[dict[str, str]]:
    return _read(FOLDER / f"{paper}.csv")


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
