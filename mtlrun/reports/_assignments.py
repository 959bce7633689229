"""Figures of a learned assignment: which group each task is in, over the training and at its end."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtlrun.reports._canvas import (
    EMPTY,
    INK,
    label_cells,
    make_figure,
    save,
    write_caption,
    write_cell,
)
from mtlrun.reports._curves import COLOURS
from mtlrun.reports._files import write_csv

Line = Mapping[str, Any]
STYLES = ("-", "--", ":")
PREFIX = "assignment/"


def draw_assignments(
    lines: Sequence[Line], learned: Mapping[str, Any], folder: Path, *, suffix: str = ""
) -> None:
    """Both figures of one training.

    Args:
        lines: Of its log.
        learned: What result.json has of it: `probabilities` and `group_of`.
        folder: Of the figures.
        suffix: Of their names.
    """
    draw_assignment_traces(lines, folder / f"assignment_traces{suffix}.png")
    draw_assignment_map(
        learned["probabilities"], learned["group_of"], folder / f"assignments{suffix}.png"
    )


def draw_assignment_traces(lines: Sequence[Line], path: Path) -> bool:
    """Probabilities over steps: a panel for every task, a line for every group.

    Args:
        lines: Of one training; those with numbers named "assignment/TASK/GROUP" count.
        path: Of the figure; the CSV has the suffix .csv: a column for every task and group.

    Returns:
        Whether there was something to draw; if not, nothing is written.
    """
    points = [line for line in lines if any(name.startswith(PREFIX) for name in line)]
    if not points:
        return False
    names = [name for name in points[0] if name.startswith(PREFIX)]
    keys = [tuple(name.removeprefix(PREFIX).rsplit("/", 1)) for name in names]
    tasks = list(dict.fromkeys(task for task, _ in keys))
    groups = list(dict.fromkeys(group for _, group in keys))
    steps = [line["step"] for line in points]
    columns = min(len(tasks), 3 if len(tasks) <= 6 else 4)
    num_rows = math.ceil(len(tasks) / columns)
    figure = make_figure(max(4.8, 2.7 * columns), 1.9 * num_rows + 0.8)
    panels = figure.subplots(num_rows, columns, squeeze=False, sharex=True, sharey=True)
    for panel, task in zip(panels.flat, tasks, strict=False):
        for k, group in enumerate(groups):
            values = [line[f"{PREFIX}{task}/{group}"] for line in points]
            panel.plot(steps, values, **_look(k), marker="o" if len(points) == 1 else None)
        panel.set_title(task, fontsize=10)
        panel.tick_params(labelsize=8)
        panel.grid(color=EMPTY)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    for k, panel in enumerate(panels.flat):
        panel.set_visible(k < len(tasks))
        if k % columns == 0:
            panel.set_ylabel("probability", fontsize=9)
        if k + columns >= len(tasks):
            panel.set_xlabel("step", fontsize=9)
            panel.tick_params(labelbottom=True)
    _add_legend(figure, groups)
    save(figure, path)
    header = ["step", *(f"{task} in {group}" for task, group in keys)]
    rows = [[line["step"], *(line[name] for name in names)] for line in points]
    write_csv(path.with_suffix(".csv"), header, rows)
    return True


def draw_assignment_map(
    probabilities: Mapping[str, Sequence[float]], group_of: Mapping[str, int], path: Path
) -> None:
    """A heat map: rows are tasks, columns groups; a frame marks the group that each task ends in.

    Args:
        probabilities: By task, of all groups.
        group_of: By task, from 0.
        path: Of the figure; the CSV has the suffix .csv: a header row of groups, and a first column
            of tasks.
    """
    tasks, num_groups = list(probabilities), len(next(iter(probabilities.values())))
    values = [list(probabilities[task]) for task in tasks]
    margin = 0.9 + 0.085 * max(len(task) for task in tasks)
    width, height = margin + 0.72 * num_groups + 1.2, 1.7 + 0.42 * len(tasks)
    figure = make_figure(max(4.4, width), height)
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for row, task in enumerate(tasks):
        for column, share in enumerate(values[row]):
            colour = "white" if share > 0.6 else INK
            write_cell(axes, column, row, f"{share:.3f}", size=9, colour=colour)
        _frame(axes, group_of[task], row)
    label_cells(axes, columns=[str(k) for k in range(num_groups)], rows=tasks)
    axes.set_xlabel("group")
    bar = figure.colorbar(image, ax=axes, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    used = len(set(group_of.values()))
    write_caption(
        figure,
        f"Probabilities at the end of phase 1. Framed: the group each task is in, the first of the "
        f"likeliest. {used} of {num_groups} groups are in use; those without a task are dropped.",
    )
    save(figure, path)
    rows = [[task, *row] for task, row in zip(tasks, values, strict=True)]
    write_csv(path.with_suffix(".csv"), ["task", *(str(k) for k in range(num_groups))], rows)


def _frame(axes: Any, column: int, row: int) -> None:
    from matplotlib.patches import Rectangle

    corner, side = (column - 0.47, row - 0.45), (0.94, 0.9)
    axes.add_patch(Rectangle(corner, *side, fill=False, edgecolor=INK, linewidth=1.6))


def _look(k: int) -> dict[str, Any]:
    """Colour and style of the k-th group."""
    style = STYLES[k // len(COLOURS) % len(STYLES)]
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": style, "linewidth": 1.3}


def _add_legend(figure: Any, groups: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    figure.legend(
        [Line2D([], [], **_look(k)) for k in range(len(groups))],
        groups,
        loc="outside lower left",
        ncols=min(8, max(2, len(groups))),
        frameon=False,
        fontsize=8,
        title="probability of each group",
        title_fontsize=8,
        alignment="left",
    )
