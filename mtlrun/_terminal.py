"""Results on stdout, everything else on stderr; colour and width on a terminal only."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def show(text: str) -> None:
    """A result; dropped once nobody reads on, as in `mtlrun list | head`."""
    try:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def results_console() -> "Console":
    """For results that are laid out by rich; plain and 100 columns wide where nobody watches."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=100, color_system=None)


def say(text: str) -> None:
    """A message beside the results."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table as a result: with rich on a terminal, in plain columns and without a head elsewhere."""
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(*columns, box=box.SIMPLE)
        for row in rows:
            drawn.add_row(*(Text(cell) for cell in row))
        Console().print(drawn)
        return
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(len(columns))]
    for row in rows:
        show("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
