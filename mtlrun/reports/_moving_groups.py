"""Figures of groups that change while a model trains: how many, who with whom, and the affinities."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtlrun.reports._canvas import (
    EMPTY,
    INK,
    fill_cell,
    label_cells,
    make_figure,
    save,
    shared_exponent,
    write_caption,
    write_cell,
)
from mtlrun.reports._curves import COLOURS
from mtlrun.reports._files import write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Line = Mapping[str, Any]
STYLES = ("-", "--", ":")


def draw_moving_groups(
    lines: Sequence[Line], learned: Mapping[str, Any], folder: Path, *, suffix: str = ""
) -> None:
    """All three figures of one training.

    Args:
        lines: Of its log.
        learned: What result.json has of it.
        folder: Of the figures.
        suffix: Of their names.
    """
    draw_group_counts(lines, folder / f"group_counts{suffix}.png")
    draw_co_grouping(learned["co_grouping"], folder / f"co_grouping{suffix}.png")
    draw_affinity_traces(lines, folder / f"affinity_traces{suffix}.png")


def draw_group_counts(lines: Sequence[Line], path: Path) -> bool:
    """The number of groups over steps: the mean since the point before, and the mean of all so far.

    Args:
        lines: Of one training; those with `groups_mean`, the mean since the first step, count.
        path: Of the figure; the CSV has the suffix .csv.

    Returns:
        Whether there was something to draw; if not, nothing is written.
    """
    rows: list[tuple[int, float, float]] = []
    step, total = 0, 0.0
    for line in lines:
        if "groups_mean" not in line or line["step"] == step:
            continue
        now = line["groups_mean"] * line["step"]
        rows.append((line["step"], (now - total) / (line["step"] - step), line["groups_mean"]))
        step, total = line["step"], now
    if not rows:
        return False
    figure = make_figure(5.4, 2.9)
    axes = figure.add_subplot()
    steps = [row[0] for row in rows]
    marker = "o" if len(rows) == 1 else None
    axes.plot(steps, [row[1] for row in rows], color=COLOURS[0], linewidth=1.3, marker=marker)
    axes.plot(steps, [row[2] for row in rows], color=COLOURS[1], linewidth=1.0, linestyle="--")
    axes.set_xlabel("step", fontsize=9)
    axes.set_ylabel("groups", fontsize=9)
    axes.set_ylim(bottom=0)
    _tidy(axes)
    write_caption(
        figure,
        f"Line: groups of a batch, mean since the point before. "
        f"Dashes: mean since the first step, {rows[-1][2]:.3g} at step {step}.",
    )
    save(figure, path)
    write_csv(path.with_suffix(".csv"), ["step", "groups", "groups_mean"], rows)
    return True


def draw_co_grouping(shares: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """A heat map of how often two tasks were in one group.

    Args:
        shares: By task and task, of all batches, in 0..1; symmetric.
        path: Of the figure; the CSV has the suffix .csv: a header row and a first column of tasks.
    """
    tasks = list(shares)
    margin = 0.9 + 0.085 * max(len(task) for task in tasks)
    cells = (0.72 if len(tasks) <= 6 else 0.6) * len(tasks)
    figure = make_figure(max(4.4, margin + cells + 1.2), margin + cells + 0.9)
    axes = figure.add_subplot()
    apart = [[math.nan if i == j else shares[i][j] for j in tasks] for i in tasks]
    image = axes.imshow(apart, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, i in enumerate(tasks):
        for column, j in enumerate(tasks):
            if i == j:
                fill_cell(axes, column, row, face=EMPTY)
                continue
            colour = "white" if shares[i][j] > 0.6 else INK
            write_cell(axes, column, row, f"{100 * shares[i][j]:.0f}", size=9, colour=colour)
    label_cells(axes, columns=tasks, rows=tasks)
    axes.set_title("Batches in one group")
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    bar.ax.yaxis.set_major_formatter(lambda tick, _: f"{100 * tick:.0f} %")
    write_caption(figure, "Percent of all batches of the training in which the two shared a group.")
    save(figure, path)
    rows = [[i, *(shares[i][j] for j in tasks)] for i in tasks]
    write_csv(path.with_suffix(".csv"), ["task", *tasks], rows)


def draw_affinity_traces(lines: Sequence[Line], path: Path) -> bool:
    """The tracked affinities over steps: a panel for every source, a line for every other target.

    Args:
        lines: Of one training; those with numbers named "affinity/SOURCE/TARGET" count.
        path: Of the figure; the CSV has the suffix .csv: a column for every pair, a task's own
            included, which would drown the others in the figure.

    Returns:
        Whether there was something to draw; if not, nothing is written.
    """
    points = [line for line in lines if any(name.startswith("affinity/") for name in line)]
    if not points:
        return False
    names = [name for name in points[0] if name.startswith("affinity/")]
    tasks = list(dict.fromkeys(name.split("/")[1] for name in names))
    steps = [line["step"] for line in points]
    pairs = [name for name in names if len(set(name.split("/")[1:])) == 2]
    limit = max((abs(line[name]) for line in points for name in pairs), default=0.0)
    exponent = shared_exponent(limit) if limit else 0
    columns = min(len(tasks), 3 if len(tasks) <= 6 else 4)
    num_rows = math.ceil(len(tasks) / columns)
    figure = make_figure(max(4.8, 2.7 * columns), 1.9 * num_rows + 1.0)
    panels = figure.subplots(num_rows, columns, squeeze=False, sharex=True)
    for panel, source in zip(panels.flat, tasks, strict=False):
        panel.axhline(0.0, color=INK, linewidth=0.6)
        for k, target in enumerate(tasks):
            if target == source:
                continue
            values = [line[f"affinity/{source}/{target}"] / 10.0**exponent for line in points]
            panel.plot(steps, values, **_look(k), marker="o" if len(points) == 1 else None)
        panel.set_title(f"from {source}", fontsize=10)
        panel.yaxis.set_major_formatter(lambda tick, _: f"{tick:g}")
        _tidy(panel)
    for k, panel in enumerate(panels.flat):
        panel.set_visible(k < len(tasks))
        if k + columns >= len(tasks):
            panel.set_xlabel("step", fontsize=9)
            panel.tick_params(labelbottom=True)
    _add_legend(figure, tasks, columns=columns, exponent=exponent)
    save(figure, path)
    header = ["step", *(" to ".join(name.split("/")[1:]) for name in names)]
    rows = [[line["step"], *(line[name] for name in names)] for line in points]
    write_csv(path.with_suffix(".csv"), header, rows)
    return True


def _look(k: int) -> dict[str, Any]:
    """Colour and style of the k-th target."""
    style = STYLES[k // len(COLOURS) % len(STYLES)]
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": style, "linewidth": 1.2}


def _tidy(axes: "Axes") -> None:
    axes.tick_params(labelsize=8)
    axes.grid(color=EMPTY)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _add_legend(figure: Any, tasks: Sequence[str], *, columns: int, exponent: int) -> None:
    from matplotlib.lines import Line2D

    unit = f", in units of 1e{exponent}" if exponent else ""
    figure.legend(
        [Line2D([], [], **_look(k)) for k in range(len(tasks))],
        tasks,
        loc="outside lower left",
        ncols=max(2, columns),
        frameon=False,
        fontsize=8,
        title=f"to{unit}; above 0 helps",
        title_fontsize=8,
        alignment="left",
    )
