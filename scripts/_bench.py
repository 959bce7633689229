"""Tables of measurements: on the terminal, as CSV and as Markdown."""

import csv
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]


def console() -> Console:
    """The terminal; wide where nobody watches, as 80 columns would cut names."""
    return Console(width=None if sys.stdout.isatty() else 160)


def show(
    where: Console, title: str, rows: Sequence[Row], *, words: Collection[str] = ("model",)
) -> None:
    """A table on the terminal; columns of words are aligned left, all others right."""
    table = Table(title=title)
    for column in _columns(rows):
        table.add_column(column, justify="left" if column in words else "right")
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in _columns(rows)))
    where.print(table)


def write(
    folder: Path, name: str, title: str, rows: Sequence[Row], *, notes: Sequence[str] = ()
) -> None:
    """The table as CSV and Markdown, notes below the latter."""
    columns = _columns(rows)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    lines = [f"# {title}", "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(str(row.get(c, "")) for c in columns) + " |" for row in rows]
    for note in notes:
        lines += ["", note]
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n")


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))
