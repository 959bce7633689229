"""Figures of affinities, groups and losses, each with its numbers as CSV beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtlrun.core.grouping import Affinity, Group, Plan
from mtlrun.reports._assignments import draw_assignments
from mtlrun.reports._canvas import (
    EMPTY,
    FAINT,
    INK,
    fill_cell,
    label_cells,
    make_figure,
    save,
    shared_exponent,
    short_number,
    write_caption,
    write_cell,
)
from mtlrun.reports._curves import draw_curves
from mtlrun.reports._files import write_csv
from mtlrun.reports._log import read_lines
from mtlrun.reports._mixing import draw_mixing
from mtlrun.reports._moving_groups import draw_moving_groups

__all__ = ["draw_affinity", "draw_curves", "draw_groups", "illustrate"]

MEMBER, SERVING = "#a9cce3", "#1b4f72"


def illustrate(folder: Path, result: Mapping[str, Any]) -> None:
    """Draws what a run's folder holds into its `figures/`: affinity, groups, curves, what moved or mixed.

    Args:
        folder: Of the run, with affinity.json and metrics.jsonl if there are such.
        result: The content of result.json; without scores where phase 2 was not run.
    """
    figures = folder / "figures"
    tasks = [task["name"] for task in result["tasks"]]
    origin = f"{result['method']} on {result['data']}"
    if (folder / "affinity.json").is_file():
        affinity = Affinity.from_json((folder / "affinity.json").read_text(encoding="utf-8"))
        draw_affinity(
            affinity, figures / "affinity.png", title=f"{affinity.kind} affinity: {origin}"
        )
    leading = {task["name"]: task["metrics"][0] for task in result["tasks"]}
    scores = {
        tuple(training["tasks"]): {
            task: own[leading[task]] for task, own in training["scores"]["test"].items()
        }
        for training in result["trainings"]
        if training["phase"] == "train"
    }
    served_by = None if result.get("draws") else result.get("served_by")
    _draw_mixing(result, figures)
    plan = Plan.from_json(json.dumps(result["plan"]))
    draw_groups(plan, tasks, figures / "groups.png", scores=scores, served_by=served_by)
    if (folder / "metrics.jsonl").is_file():
        draw_curves(folder / "metrics.jsonl", figures / "curves.png")
        _draw_moving(folder / "metrics.jsonl", result, figures)


def draw_affinity(affinity: Affinity, path: Path, *, title: str | None = None) -> None:
    """A heat map: rows are sources, columns targets, blue helps, red harms.

    The colours are centred at 0 and scaled by the entries off the diagonal, which is printed on
    grey: a task's effect on itself would drown the others. Entries below the noise floor are
    printed in grey.

    Args:
        affinity: What is drawn.
        path: Of the figure; the format follows its suffix. The CSV has the suffix .csv: a header
            row of targets, and a first column of sources, and the affinity's values as they are:
            of kind "hoa" errors, whose difference to the errors alone is drawn.
        title: Above the figure; None for the affinity's kind.
    """
    values, tasks = affinity.helps(), affinity.tasks
    apart = ~np.eye(len(tasks), dtype=bool) & np.isfinite(values)
    limit = float(np.abs(values[apart]).max(initial=0.0)) or 1.0
    exponent = shared_exponent(limit)
    below = np.abs(values) < (affinity.noise_floor or 0.0)

    margin = 0.9 + 0.085 * max(len(task) for task in tasks)
    cells = (0.72 if len(tasks) <= 6 else 0.6) * len(tasks)
    figure = make_figure(max(4.4, margin + cells + 1.2), margin + cells + 0.9)
    axes = figure.add_subplot()
    image = axes.imshow(
        np.where(apart, values, np.nan), cmap="RdBu", vmin=-limit, vmax=limit, alpha=0.95
    )
    for i, j in np.ndindex(values.shape):
        own = i == j
        if own:
            fill_cell(axes, j, i, face=EMPTY, edge=INK)
        dark = not own and abs(values[i, j]) > 0.6 * limit
        colour = "white" if dark else FAINT if below[i, j] else INK
        text = short_number(float(values[i, j]) / 10.0**exponent)
        write_cell(axes, j, i, text, size=9 if len(tasks) <= 8 else 8, colour=colour)
    label_cells(axes, columns=tasks, rows=tasks)
    axes.set_xlabel("target")
    axes.set_ylabel("source")
    axes.set_title(title or f"{affinity.kind} affinity")
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    bar.ax.yaxis.set_major_formatter(lambda tick, _: short_number(tick / 10.0**exponent))

    floor = "Noise floor not estimated."
    if affinity.noise_floor is not None:
        floor = f"Noise floor {affinity.noise_floor:.2g}"
        floor += "; grey numbers lie below." if below.any() else "."
    scale = f" In units of 1e{exponent}." if exponent else ""
    write_caption(
        figure,
        f"Positive (blue): training the source helps the target. {affinity.in_words()}{scale} {floor}",
    )
    save(figure, path)
    write_csv(
        path.with_suffix(".csv"),
        ["source", *tasks],
        [
            [task, *(float(v) for v in row)]
            for task, row in zip(tasks, affinity.values, strict=True)
        ],
    )


def draw_groups(
    plan: Plan,
    tasks: Sequence[str],
    path: Path,
    *,
    scores: Mapping[tuple[str, ...], Mapping[str, float]] | None = None,
    served_by: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Which task is in which group: light where it is trained, dark where its score is read.

    Args:
        plan: Its groups are the columns.
        tasks: T names, the rows.
        path: Of the figure; the format follows its suffix. The CSV has the suffix .csv: a row for
            every task of every group.
        scores: By the group's tasks, each task's leading metric on the test split, written into
            its cell.
        served_by: The tasks of the group that serves each task, where that is known by now; else
            the plan tells which may.
    """
    width = 0.7 + 0.085 * max(len(task) for task in tasks)
    width += (0.62 if scores else 0.5) * len(plan.groups)
    figure = make_figure(max(3.8, width), 1.5 + 0.36 * len(tasks))
    axes = figure.add_subplot()
    rows = []
    for column, group in enumerate(plan.groups):
        for row, task in enumerate(tasks):
            if task not in group.tasks:
                fill_cell(axes, column, row, face=EMPTY)
                continue
            serves = _serves(group, task, served_by)
            score = (scores or {}).get(group.tasks, {}).get(task)
            fill_cell(axes, column, row, face=SERVING if serves else MEMBER)
            text = ("\u2022" if serves else "") if score is None else f"{score:.3g}"
            colour = "white" if serves else INK
            write_cell(axes, column, row, text, size=12 if score is None else 8, colour=colour)
            rows.append([column + 1, task, int(serves), "" if score is None else score])
    axes.set_xlim(-0.5, len(plan.groups) - 0.5)
    axes.set_ylim(len(tasks) - 0.5, -0.5)
    label_cells(axes, columns=[str(k + 1) for k in range(len(plan.groups))], rows=tasks)
    axes.set_xlabel("group")
    facts = [] if plan.objective is None else [f"objective {plan.objective:.6g}"]
    facts += [] if plan.bound is None else [f"proven bound {plan.bound:.6g}"]
    facts += [] if plan.status == "given" else [plan.status]
    write_caption(
        figure,
        "Dark: trained in the group and scored there. Light: trained there, scored elsewhere."
        + (" Numbers: the task's leading metric, test split." if scores else "")
        + (f" {'; '.join(facts).capitalize()}." if facts else ""),
    )
    save(figure, path)
    write_csv(path.with_suffix(".csv"), ["group", "task", "serves", "score"], rows)


def _draw_moving(metrics_jsonl: Path, result: Mapping[str, Any], figures: Path) -> None:
    """For every training whose groups changed, in figures that are numbered if there are several."""
    lines: list[dict[str, Any]] = []
    for known, draw in (("co_grouping", draw_moving_groups), ("probabilities", draw_assignments)):
        moving = [own for own in result["trainings"] if known in own["learned"]]
        lines = lines or (read_lines(metrics_jsonl) if moving else [])
        for number, training in enumerate(moving, 1):
            own = [line for line in lines if line["training"] == training["key"]]
            suffix = f"_{number}" if len(moving) > 1 else ""
            draw(own, training["learned"], figures, suffix=suffix)


def _draw_mixing(result: Mapping[str, Any], figures: Path) -> None:
    """For every training whose priors mix tasks, in figures that are numbered if there are several."""
    found = []
    for training in result["trainings"]:
        own = {
            name.removeprefix("mixing_"): shares
            for name, shares in training["learned"].items()
            if name.startswith("mixing_")
        }
        found += [own] if own else []
    for number, own in enumerate(found, 1):
        draw_mixing(own, figures / f"mixing{f'_{number}' if len(found) > 1 else ''}.png")


def _serves(group: Group, task: str, served_by: Mapping[str, Sequence[str]] | None) -> bool:
    if served_by is not None and task in served_by:
        return set(served_by[task]) == set(group.tasks)
    return task in group.serves
