"""A table as it is printed, before it is put into a format."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mtlrun.reports.tables import Cell, Column, ResultTable

UP, DOWN = "\u2191", "\u2193"
MOST_DECIMALS = 6


@dataclass(frozen=True)
class Entry:
    """One place of a table.

    Attributes:
        text: As printed; "-" where there is nothing.
        value: What sorting goes by; None where there is nothing.
        is_best: Whether no other is better.
        is_outside: Whether it is further from its counterpart than it should be.
    """

    text: str
    value: float | str | None = None
    is_best: bool = False
    is_outside: bool = False


@dataclass(frozen=True)
class Head:
    """Of a column: what it belongs to, its name, and an arrow where one direction is better."""

    group: str
    name: str
    arrow: str = ""

    @property
    def text(self) -> str:
        """Name and arrow."""
        return f"{self.name} {self.arrow}".rstrip()


@dataclass(frozen=True)
class Grid:
    """A table of text: the first column names rows.

    Attributes:
        title: Above it.
        heads: Of all columns, that of the names included.
        rows: Of as many entries.
        notes: Below it.
        rules: Rows before which a line is drawn.
    """

    title: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...] = ()
    rules: frozenset[int] = frozenset()


def grid_of(table: ResultTable) -> Grid:
    """A table of results: name, number of seeds, then its columns."""
    heads = [Head("", "method"), Head("", "n")]
    heads += [Head(c.task, c.name, arrow_of(c)) for c in table.columns]
    digits = {c: decimals_of(c, [row.cells.get(c) for row in table.rows]) for c in table.columns}
    best = {column: table.best(column) for column in table.columns}
    rows = []
    for row in table.rows:
        entries = [Entry(row.label, row.label), Entry(str(len(row.runs)), float(len(row.runs)))]
        for column in table.columns:
            cell = row.cells.get(column, Cell(None, None))
            is_best = best[column] is not None and cell.mean == best[column]
            entries.append(Entry(text_of(cell, column, digits[column]), cell.mean, is_best))
        rows.append(tuple(entries))
    return Grid(table.title, tuple(heads), tuple(rows), table.notes)


def arrow_of(column: Column) -> str:
    """Up where higher is better, down where lower is."""
    if column.higher_is_better is None:
        return ""
    return UP if column.higher_is_better else DOWN


def decimals_of(column: Column, cells: Sequence[Cell | None]) -> int:
    """How many decimals a column's numbers have: its largest gets four digits."""
    if column.style in ("percent", "share", "whole"):
        return {"percent": 2, "share": 4, "whole": 0}[column.style]
    means = [abs(cell.mean) for cell in cells if cell is not None and cell.mean is not None]
    return decimals_for([mean for mean in means if math.isfinite(mean)])


def decimals_for(values: Sequence[float]) -> int:
    """Decimals that show four digits of the largest of some sizes."""
    largest = max(values, default=0.0)
    if largest == 0:
        return 1
    return min(MOST_DECIMALS, max(0, 3 - math.floor(math.log10(largest))))


def text_of(cell: Cell, column: Column, decimals: int) -> str:
    """Mean and deviation."""
    if cell.mean is None:
        return "-"
    sign = "+" if column.style in ("percent", "share") else ""
    text = f"{cell.mean:{sign}.{decimals}f}"
    if cell.std is None or (column.style == "count" and cell.std == 0):
        return text
    return f"{text} \u00b1 {cell.std:.{decimals}f}"
