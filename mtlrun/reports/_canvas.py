"""What the figures have in common. Matplotlib is imported where it is first needed."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtlrun.core.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, EMPTY = "#222222", "#8a8a8a", "#f1f1f1"
CAPTION = "#444444"


def make_figure(width: float, height: float) -> "Figure":
    """A figure in inches that no window knows of: without pyplot, PNG is drawn by Agg everywhere."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def fill_cell(axes: "Axes", column: int, row: int, *, face: str, edge: str = "none") -> None:
    """Colours one cell of a matrix, a narrow gap to its neighbours left."""
    from matplotlib.patches import Rectangle

    corner, side = (column - 0.46, row - 0.46), 0.92
    axes.add_patch(Rectangle(corner, side, side, facecolor=face, edgecolor=edge, linewidth=1.2))


def write_cell(axes: "Axes", column: int, row: int, text: str, *, size: float, colour: str) -> None:
    """Writes into the middle of a cell."""
    axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def label_cells(axes: "Axes", *, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Names the columns and rows of a matrix; long names of columns are turned."""
    longest = max(len(name) for name in columns)
    turned = longest > 6 and not (len(columns) <= 4 and longest <= 8)
    axes.set_xticks(
        range(len(columns)), columns, rotation=40 if turned else 0,
        ha="right" if turned else "center", rotation_mode="anchor" if turned else "default",
    )  # fmt: skip
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def write_caption(figure: "Figure", text: str) -> None:
    """Text below everything, wrapped to the figure's width."""
    characters = int(figure.get_figwidth() * 15.5)
    lines = textwrap.wrap(text, characters, break_on_hyphens=False)
    figure.supxlabel("\n".join(lines), fontsize=8, color=CAPTION, x=0.02, ha="left")


def save(figure: "Figure", path: Path) -> None:
    """Writes the figure, whole or not at all; the format follows the suffix."""
    write_whole(path, figure.savefig)


def shared_exponent(limit: float) -> int:
    """A multiple of 3 by which numbers up to `limit` become ones up to 1..1000; 0 if 0.1 or more do."""
    if 0.1 <= limit < 1000:
        return 0
    return 3 * math.floor(math.log10(limit) / 3)


def short_number(value: float) -> str:
    """About three digits, at most about five characters; "-" where there is no number."""
    if not math.isfinite(value):
        return "-"
    size = abs(value)
    if size >= 1e4:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    return f"{value:.{2 if size < 10 else 1 if size < 100 else 0}f}"
