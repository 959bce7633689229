"""A table's figures on the page: affinities, groups, learning curves."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from mtlrun.reports._log import read_lines
from mtlrun.reports._svg import Line, curves, heat_map, scale_note, swatch, thinned
from mtlrun.reports.runs import Run
from mtlrun.reports.tables import ResultTable

MOST_ROWS, MOST_SEEDS, MOST_POINTS = 14, 5, 100


def affinity_maps(table: ResultTable) -> str:
    """A heat map for every row that collected, of its first seed; empty without any."""
    parts = []
    for row in table.rows:
        affinity = _affinity(row.runs[0])
        if affinity is None:
            continue
        tasks, values, told = affinity["tasks"], *_helps(affinity)
        label = f"{row.label}, seed {row.seeds[0]}"
        drawing = heat_map(tasks, values, label=f"{affinity['kind']} affinity of {label}")
        floor = affinity.get("noise_floor")
        noise = "" if floor is None else f" Noise floor {floor:.2g}."
        parts.append(
            f'<figure><h4>{escape(label)}</h4><div class="scroll" tabindex="0">{drawing}</div>'
            f"<figcaption>{escape(affinity['kind'])} affinity, rows are sources, columns targets; "
            f"blue helps, red harms. {told}"
            f"{scale_note(values)}{noise}</figcaption></figure>"
        )
    return f'<div class="maps">{"".join(parts)}</div>' if parts else ""


def group_lists(table: ResultTable) -> str:
    """The groups of every row that has several but those of single tasks, seed by seed."""
    parts = []
    for row in table.rows:
        for run in row.runs[:MOST_SEEDS]:
            groups = run.result["plan"]["groups"]
            if run.result.get("draws") or all(len(group["tasks"]) == 1 for group in groups):
                continue
            if len(groups) > 1:
                items = "".join(f"<li>{_group(group, run)}</li>" for group in groups)
                label = escape(f"{row.label}, seed {run.seed}")
                parts.append(f'<div><h4>{label}</h4><ol class="groups-list">{items}</ol></div>')
    note = '<p class="quiet">In brackets: trained there, scored in another group.</p>'
    return f'{note}<div class="panels">{"".join(parts)}</div>' if parts else ""


def learning_curves(table: ResultTable) -> str:
    """A panel for every task, a colour for every row, a line for every seed; empty without logs."""
    rows = table.rows[:MOST_ROWS]
    tasks = [task["name"] for task in rows[0].runs[0].result["tasks"]]
    lines: dict[str, list[Line]] = {task: [] for task in tasks}
    for number, row in enumerate(rows):
        for run in row.runs[:MOST_SEEDS]:
            for task, line in _lines(run, number, tasks):
                lines[task].append(line)
    panels = [
        f"<figure><h4>{escape(task)}</h4>{curves(own, label=f'loss of {task} over steps')}</figure>"
        for task, own in lines.items()
        if own
    ]
    if not panels:
        return ""
    legend = "".join(f"<li>{swatch(k)}{escape(row.label)}</li>" for k, row in enumerate(rows))
    note = "Loss over steps, of the trainings that are scored; dotted: validation."
    if len(table.rows) > len(rows) or any(len(row.runs) > MOST_SEEDS for row in rows):
        note += f" The first {MOST_ROWS} rows and {MOST_SEEDS} seeds."
    return (
        f'<p class="quiet">{note}</p><ul class="legend">{legend}</ul>'
        f'<div class="panels">{"".join(panels)}</div>'
    )


def _lines(run: Run, number: int, tasks: list[str]) -> list[tuple[str, Line]]:
    """A run's losses of both splits, of each task where it is scored."""
    path = run.folder / "metrics.jsonl"
    keys = {
        frozenset(own["tasks"]): own["key"]
        for own in run.result["trainings"]
        if own["phase"] == "train"
    }
    serving = {task: keys.get(frozenset(run.result["served_by"].get(task, ()))) for task in tasks}
    try:
        logged = read_lines(path) if path.is_file() else []
    except (ValueError, OSError):
        return []
    found = []
    for split in ("train", "val"):
        for task, key in serving.items():
            name = f"{split}/{task}/loss"
            points = [
                (float(line["step"]), float(line[name]))
                for line in logged
                if line.get("training") == key and line.get(name) is not None
            ]
            if points:
                found.append((task, Line(number, thinned(points, MOST_POINTS), split == "val")))
    return found


def _group(group: Mapping[str, Any], run: Run) -> str:
    """Its tasks; those that are scored elsewhere in brackets."""
    served_by = run.result["served_by"]
    own = set(group["tasks"])
    return ", ".join(
        escape(task) if set(served_by.get(task, ())) == own else f"({escape(task)})"
        for task in group["tasks"]
    )


def _affinity(run: Run) -> dict[str, Any] | None:
    """The content of affinity.json; None where there is none that can be read."""
    try:
        found = json.loads((run.folder / "affinity.json").read_bytes())
        size = len(found["tasks"])
        whole = len(found["values"]) == size and all(len(row) == size for row in found["values"])
        return {**found, "kind": found["kind"]} if whole and found["num_observations"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _helps(affinity: Mapping[str, Any]) -> tuple[list[list[float]], str]:
    """`Affinity.helps` and `Affinity.in_words`, of which core/grouping.py needs numpy."""
    values = affinity["values"]
    if affinity["kind"] != "hoa":
        return values, f"{affinity['num_observations']} observations."
    alone = [row[place] for place, row in enumerate(values)]
    told = "By how much the target's validation error is less than alone."
    return [[own - error for own, error in zip(alone, row, strict=True)] for row in values], told
