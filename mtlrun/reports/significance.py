"""Welch's test between two rows, number by number."""

from collections.abc import Sequence

from mtlrun.reports._grid import Entry, Grid, Head, arrow_of, decimals_of, text_of
from mtlrun.reports.results import COSTS
from mtlrun.reports.tables import Cell, Column, ResultTable, Row
from mtlrun.reports.welch import welch

HEADS = ("first", "second", "difference", "t", "df", "p")
NOTE = (
    "Welch's t-test over seeds, two-sided, no correction for the number of tests; - where a row has "
    "fewer than two seeds or nothing varies"
)


def compare_rows(tables: Sequence[ResultTable], first: str, second: str) -> list[Grid]:
    """For every table that has both rows, their numbers and what tells them apart.

    Args:
        tables: All.
        first: The label of a row, or the part of one that no other row of the table has.
        second: Likewise.

    Raises:
        ValueError: If a name means several rows of a table, or no table has both.
    """
    found = []
    for table in tables:
        rows = _row(table, first), _row(table, second)
        if rows[0] is not None and rows[1] is not None:
            found.append(_grid(table, rows[0], rows[1]))
    if not found:
        labels = dict.fromkeys(row.label for table in tables for row in table.rows)
        raise ValueError(
            f"`--test` should be given two rows of one table. Found `{first}` and `{second}`. "
            f"Rows: {'; '.join(labels)}."
        )
    return found


def _row(table: ResultTable, name: str) -> Row | None:
    exact = [row for row in table.rows if row.label == name]
    near = exact or [row for row in table.rows if name in row.label]
    if len(near) > 1:
        raise ValueError(
            f"`--test` should be given names that mean one row. Found `{name}`, which means "
            f"{'; '.join(row.label for row in near)} of {table.title}."
        )
    return near[0] if near else None


def _grid(table: ResultTable, first: Row, second: Row) -> Grid:
    heads = [Head("", "number"), *(Head("", name) for name in HEADS)]
    rows = []
    for column in table.columns:
        cells = [row.cells.get(column, Cell(None, None)) for row in (first, second)]
        if column in COSTS or any(cell.mean is None for cell in cells):
            continue
        rows.append(_entries(column, cells))
    title = f"{first.label} (first) and {second.label} (second): {table.title}"
    counts = f"n = {len(first.runs)} and {len(second.runs)}"
    return Grid(title, tuple(heads), tuple(rows), (counts, NOTE))


def _entries(column: Column, cells: Sequence[Cell]) -> tuple[Entry, ...]:
    digits = decimals_of(column, cells)
    name = f"{column.task} {column.name} {arrow_of(column)}".strip()
    entries = [Entry(name, name), *(Entry(text_of(c, column, digits), c.mean) for c in cells)]
    outcome = welch(cells[0].values, cells[1].values)
    if outcome is None:
        return (*entries, *[Entry("-")] * 4)
    return (
        *entries,
        Entry(f"{outcome.difference:+.{digits}f}", outcome.difference),
        Entry(f"{outcome.t:.2f}", outcome.t),
        Entry(f"{outcome.freedom:.1f}", outcome.freedom),
        Entry(f"{outcome.p:.2g}", outcome.p),
    )
