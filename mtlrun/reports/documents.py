"""Tables as one text in a format."""

from collections.abc import Sequence
from typing import Literal

from mtlrun.reports._grid import Grid, grid_of
from mtlrun.reports._markup import to_csv, to_latex, to_markdown
from mtlrun.reports._plain import to_plain
from mtlrun.reports.tables import ResultTable

Format = Literal["terminal", "md", "latex", "csv"]
HEADER = (
    "data", "backbone", "budget", "table", "method", "settings", "task", "name", "direction", "n",
    "mean", "std", "seeds",
)  # fmt: skip


def tables_as(
    chosen: Format, tables: Sequence[ResultTable], *, width: int, colour: bool = False
) -> str:
    """All tables, one after another; as CSV a line for every number.

    Args:
        chosen: The format.
        tables: In order.
        width: Characters, of a terminal.
        colour: Whether the terminal shows bold.
    """
    if chosen == "csv":
        return to_csv(HEADER, [line for table in tables for line in _lines(table)])
    return grids_as(chosen, [grid_of(table) for table in tables], width=width, colour=colour)


def grids_as(chosen: Format, grids: Sequence[Grid], *, width: int, colour: bool = False) -> str:
    """Printed tables, one after another."""
    if chosen == "csv":
        return "\n".join(_grid_csv(grid) for grid in grids)
    if chosen == "terminal":
        return "\n".join(to_plain(grid, width=width, colour=colour) for grid in grids)
    return "\n".join(to_latex(grid) if chosen == "latex" else to_markdown(grid) for grid in grids)


def _lines(table: ResultTable) -> list[list[object]]:
    """A line for every number that is known."""
    words = {True: "higher", False: "lower", None: ""}
    return [
        [
            table.data, table.backbone, table.budget, table.told, row.method, row.told,
            column.task, column.name, words[column.higher_is_better], len(row.runs), cell.mean,
            "" if cell.std is None else cell.std, " ".join(map(str, row.seeds)),
        ]
        for row in table.rows
        for column in table.columns
        if (cell := row.cells.get(column)) is not None and cell.mean is not None
    ]  # fmt: skip


def _grid_csv(grid: Grid) -> str:
    heads = [f"{head.group} {head.name}".strip() for head in grid.heads]
    rows = [["" if entry.value is None else entry.value for entry in row] for row in grid.rows]
    return to_csv(["table", *heads], [[grid.title, *row] for row in rows])
