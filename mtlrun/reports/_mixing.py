"""A figure of how much of every other task goes into a task's priors."""

import math
from collections.abc import Mapping
from pathlib import Path

from mtlrun.reports._canvas import (
    EMPTY,
    INK,
    fill_cell,
    label_cells,
    make_figure,
    save,
    write_caption,
    write_cell,
)
from mtlrun.reports._files import write_csv

Shares = Mapping[str, Mapping[str, float]]
TITLES = {"z": "priors of z", "w": "priors of w", "both": "priors of z and w"}
LEAST_LIMIT = 0.01  # of the colours: less is no preference that could be seen


def draw_mixing(by_prior: Mapping[str, Shares], path: Path) -> None:
    """A heat map for every kind of prior: rows are tasks, columns the tasks that their priors are made of.

    Colours are centred at equal weights.

    Args:
        by_prior: By "z", "w" or "both": by task and other task a weight in 0..1, a row's sum 1.
        path: Of the figure; the CSV has the suffix .csv: a row for every prior, task and other task.
    """
    tasks = list(next(iter(by_prior.values())))
    equal = 1 / (len(tasks) - 1)
    rows = [
        (prior, task, other, share)
        for prior, shares in by_prior.items()
        for task, own in shares.items()
        for other, share in own.items()
    ]
    limit = max(LEAST_LIMIT, *(abs(share - equal) for *_, share in rows))
    margin = 0.9 + 0.085 * max(len(task) for task in tasks)
    cells = 0.72 * len(tasks)
    figure = make_figure(max(4.4, (margin + cells) * len(by_prior) + 1.2), margin + cells + 0.9)
    panels = figure.subplots(1, len(by_prior), squeeze=False)[0]
    for axes, (prior, shares) in zip(panels, by_prior.items(), strict=True):
        table = [[shares[i].get(j, math.nan) for j in tasks] for i in tasks]
        image = axes.imshow(table, cmap="RdBu", vmin=equal - limit, vmax=equal + limit)
        for row, i in enumerate(tasks):
            for column, j in enumerate(tasks):
                if i == j:
                    fill_cell(axes, column, row, face=EMPTY)
                    continue
                colour = "white" if abs(shares[i][j] - equal) > 0.6 * limit else INK
                write_cell(axes, column, row, f"{shares[i][j]:.3f}", size=8, colour=colour)
        label_cells(axes, columns=tasks, rows=tasks)
        axes.set_xlabel("weight of")
        axes.set_ylabel("in the prior of")
        axes.set_title(TITLES[prior])
    bar = figure.colorbar(image, ax=list(panels), shrink=0.85, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    write_caption(
        figure,
        f"Expected weights of the other tasks, without Gumbel noise. White: equal weights, "
        f"{equal:.3f}. Blue: more. Red: less.",
    )
    save(figure, path)
    write_csv(path.with_suffix(".csv"), ["prior", "task", "other", "weight"], rows)
