"""Figures of losses over steps."""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from mtlrun.reports._canvas import EMPTY, make_figure, save
from mtlrun.reports._files import write_csv
from mtlrun.reports._log import ORIGIN, read_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which readers with any common colour blindness can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FURTHER = "#c4c4c4"
LONGEST_TITLE = 90


@dataclass(frozen=True)
class LossPoint:
    """One task's loss at one step of one training; `split` is "train" or "val"."""

    training: str
    title: str
    phase: str
    step: int
    epoch: int
    split: str
    task: str
    loss: float


def draw_curves(metrics_jsonl: Path, path: Path) -> bool:
    """Losses over steps: a panel for every task, a colour for every training it takes part in.

    Lines are training losses (means since the point before), dots joined by dashes validation
    losses. Where there are more trainings than colours, the later ones are grey.

    Args:
        metrics_jsonl: A run's metrics log: a line holds training, title, phase, step, epoch and
            numbers named "train/TASK/loss" or "val/TASK/METRIC".
        path: Of the figure; the format follows its suffix. The CSV has the suffix .csv.

    Returns:
        Whether there was a loss to draw; if not, nothing is written.

    Raises:
        ValueError: If a line is not JSON.
    """
    points = read_losses(metrics_jsonl)
    if not points:
        return False
    tasks = list(dict.fromkeys(point.task for point in points))
    titles = {p.training: _shortened(f"{p.phase}: {p.title}") for p in points}
    columns = min(len(tasks), 3 if len(tasks) <= 6 else 4)
    num_rows = math.ceil(len(tasks) / columns)
    shown = list(titles.values())[: len(COLOURS)]
    legend_columns = 2 if len(shown) > 1 and max(map(len, shown)) <= 40 and columns > 2 else 1
    legend_height = 0.2 * math.ceil(len(shown) / legend_columns) + 0.35
    figure = make_figure(max(4.8, 2.7 * columns), 1.9 * num_rows + 0.3 + legend_height)
    panels = figure.subplots(num_rows, columns, squeeze=False)
    for panel, task in zip(panels.flat, tasks, strict=False):
        _draw_task(panel, [p for p in points if p.task == task], list(titles))
    for k, panel in enumerate(panels.flat):
        panel.set_visible(k < len(tasks))
        if k + columns >= len(tasks):
            panel.set_xlabel("step", fontsize=9)
        if k % columns == 0:
            panel.set_ylabel("loss", fontsize=9)
    _add_legend(figure, shown, num_further=len(titles) - len(shown), columns=legend_columns)
    save(figure, path)
    write_csv(
        path.with_suffix(".csv"), [f.name for f in fields(LossPoint)], [astuple(p) for p in points]
    )
    return True


def read_losses(metrics_jsonl: Path) -> list[LossPoint]:
    """All losses of a metrics log, in its order; a last line that was cut off is left out.

    Raises:
        ValueError: If another line is not JSON.
    """
    points = []
    for line in read_lines(metrics_jsonl):
        origin = {name: line[name] for name in ORIGIN}
        for name, value in line.items():
            split, _, rest = name.partition("/")
            if split in ("train", "val") and rest.endswith("/loss"):
                task = rest.removesuffix("/loss")
                points.append(LossPoint(**origin, split=split, task=task, loss=float(value)))
    return points


def _draw_task(panel: "Axes", points: Sequence[LossPoint], trainings: Sequence[str]) -> None:
    for k, training in enumerate(trainings):
        for split, style in (("train", "-"), ("val", "--")):
            own = [p for p in points if p.training == training and p.split == split]
            panel.plot(
                [p.step for p in own],
                [p.loss for p in own],
                style,
                color=COLOURS[k] if k < len(COLOURS) else FURTHER,
                linewidth=1.3 if split == "train" else 1.0,
                marker="o" if split == "val" or len(own) == 1 else None,
                markersize=3,
                zorder=3 if k < len(COLOURS) else 2,
            )
    losses = [p.loss for p in points]
    if min(losses) > 0 and max(losses) > 10 * min(losses):
        panel.set_yscale("log")
    panel.set_title(points[0].task, fontsize=10)
    panel.tick_params(labelsize=8)
    panel.grid(color=EMPTY)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)


def _shortened(title: str) -> str:
    return title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 3]}..."


def _add_legend(figure: "Figure", titles: Sequence[str], *, num_further: int, columns: int) -> None:
    from matplotlib.lines import Line2D

    note = "line: training, dots: validation"
    if num_further:
        note += f"; grey: {num_further} further trainings, named in the CSV"
    figure.legend(
        [Line2D([], [], color=colour) for colour in COLOURS[: len(titles)]],
        titles,
        loc="outside lower left",
        ncols=columns,
        frameon=False,
        fontsize=8,
        title=note,
        title_fontsize=8,
        alignment="left",
    )
