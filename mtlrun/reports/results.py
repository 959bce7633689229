"""Fills tables with numbers: scores, what they come to beside single-task runs, and costs."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mtlrun.reports._settings import describe, differing
from mtlrun.reports.aggregates import (
    Directions,
    Scores,
    average,
    delta_i,
    delta_m,
    leading_alone,
    safeness,
    total,
)
from mtlrun.reports.grouped import Group, budget_of, directions_of, group_runs, tell_apart
from mtlrun.reports.measures import (
    Result,
    Split,
    mean_scores,
    num_parameters,
    peak_memory,
    step_seconds,
    stored_references,
)
from mtlrun.reports.runs import Run
from mtlrun.reports.tables import (
    Cell,
    Column,
    ResultTable,
    Row,
    cell_of,
    row_means,
    row_scores,
)

DELTA_M = Column("", "delta_m (%)", True, "percent")
DELTA_I = Column("", "delta_i", True, "share")
SAFENESS = Column("", "eta (%)", True, "whole")
PARAMETERS = Column("", "parameters (M)", None, "count")
STEP_TIME = Column("", "step (ms)", None)
MEMORY = Column("", "peak memory (MiB)", None, "whole")
COSTS = (PARAMETERS, STEP_TIME, MEMORY)
_MEASURED: Sequence[tuple[Column, Callable[[Result], float | None], float]] = (
    (PARAMETERS, num_parameters, 1e-6),
    (STEP_TIME, step_seconds, 1e3),
    (MEMORY, peak_memory, 2.0**-20),
)


def tables_of(
    runs: Sequence[Run], *, split: Split = "test", chosen_on: Split | None = None
) -> tuple[list[ResultTable], list[str]]:
    """One table for every data, backbone and budget, and remarks on runs left out.

    Numbers beside single-task runs are of a row's means and the means of the table's single-task
    row, so that they can be recomputed from what is printed; their deviation is over the seeds of
    the row, beside the same means.

    Args:
        runs: Finished ones.
        split: Whose scores are shown.
        chosen_on: The split that picks the group of a task which several serve; None for the one
            that each run was told.

    Raises:
        ValueError: If seeds are there twice with other scores.
    """
    groups, remarks = group_runs(runs)
    told = tell_apart(groups)
    tables = [
        _fill(group, words, split, chosen_on) for group, words in zip(groups, told, strict=True)
    ]
    return sorted(tables, key=lambda table: table.title), remarks


def reference_row(row: Row, rows: Sequence[Row]) -> Row | None:
    """The single-task row of a table; of several, the one whose shared settings are the row's."""
    singles = [other for other in rows if other.method == "single_task"]
    if len(singles) < 2 or row in singles:
        return row if row in singles else next(iter(singles), None)
    alike = [other for other in singles if _training(other) == _training(row)]
    return alike[0] if len(alike) == 1 else None


def _fill(group: Group, told: str, split: Split, chosen_on: Split | None) -> ResultTable:
    directions = directions_of(group)
    leading = {task: next(iter(own)) for task, own in directions.items()}
    columns = [
        Column(task, metric, higher)
        for task, own in directions.items()
        for metric, higher in own.items()
    ]
    first = group.runs[0].result
    data, backbone, budget = first["data"], first["backbone"], budget_of(group)
    notes = _note_references(group, split)
    rows = []
    for row in group.rows:
        own = {
            column: cell_of([s.get(column.task, {}).get(column.name) for s in scores])
            for scores in [row_scores(row, split, chosen_on)]
            for column in columns
        }
        reference = _reference(row, group, split)
        scored = row_scores(row, split, chosen_on)
        own |= _beside(scored, reference, directions, leading)
        for column, measure, scale in _MEASURED:
            measured = [measure(run.result) for run in row.runs]
            own[column] = cell_of([None if v is None else scale * v for v in measured])
        rows.append(replace(row, cells=own))
    extra = [c for row in rows for c in row.cells if c not in columns]
    present = [c for c in dict.fromkeys(extra) if any(_is_known(r.cells.get(c)) for r in rows)]
    notes += [*_note_split(split, chosen_on, group), *_note_seeds(rows), *_note_settings(group)]
    return ResultTable(
        data, backbone, budget, told, tuple(rows), (*columns, *present), tuple(notes)
    )


def _beside(
    scores: Sequence[Scores],
    reference: Scores | None,
    directions: Directions,
    leading: dict[str, str],
) -> dict[Column, Cell]:
    """Numbers over all tasks: of the means; deviations over seeds."""
    if not scores:
        return {}
    mean = mean_scores(scores)
    found = {}
    if reference is not None:
        counted = leading_alone(directions, leading)
        for column, measure, own in (
            (DELTA_M, delta_m, counted),
            (DELTA_I, delta_i, directions),
            (SAFENESS, safeness, directions),
        ):
            spread = cell_of([measure(one, reference, own) for one in scores])
            std = None if column is SAFENESS else spread.std
            found[column] = Cell(measure(mean, reference, own), std, spread.values)
    if len(set(leading.values())) == 1:
        (metric,) = set(leading.values())
        higher = next(iter(directions.values()))[metric]
        for name, sum_up in ((f"total {metric}", total), (f"mean {metric}", average)):
            found[Column("", name, higher)] = cell_of([sum_up(one, leading) for one in scores])
    return found


def _reference(row: Row, group: Group, split: Split) -> Scores | None:
    if any(other.method == "single_task" for other in group.rows):
        own = reference_row(row, group.rows)
        return None if own is None else row_means(own, split, None)
    return stored_references([run.result for run in row.runs], split)


def _note_references(group: Group, split: Split) -> list[str]:
    singles = [row for row in group.rows if row.method == "single_task"]
    if len(singles) == 1:
        return []
    if singles:
        lost = [row.label for row in group.rows if reference_row(row, group.rows) is None]
        text = "several single-task rows: each row is compared with the one of its own settings"
        return [text + (f"; there is none for {', '.join(lost)}" if lost else "")]
    lacking = [row for row in group.rows if _reference(row, group, split) is None]
    if not lacking:
        return ["single-task scores are those that the store held when the runs ended"]
    seeds = ",".join(str(seed) for seed in sorted({s for row in lacking for s in row.seeds}))
    result = group.runs[0].result
    which = ", ".join(dict.fromkeys(row.label for row in lacking))
    sweep = "-m " if "," in seeds else ""
    return [
        f"no single-task runs of this data, backbone and budget for {which}: no delta_m, delta_i and "
        f"eta. `mtlrun {sweep}method=single_task data={result['data']} "
        f"backbone={result['backbone']}{_budget_words(group)} seed={seeds}` makes them, with any "
        f"further settings that these runs were given"
    ]


def _budget_words(group: Group) -> str:
    names = ("trainer.epochs", "trainer.steps_per_epoch", "trainer.eval_batches")
    known = {name: group.settings.get(name, "null") for name in names}
    return "".join(f" {name}={value}" for name, value in known.items() if value != "null")


def _note_split(split: Split, chosen_on: Split | None, group: Group) -> list[str]:
    notes = [] if split == "test" else [f"scores on the {split} split"]
    if chosen_on is not None:
        notes.append(f"of several groups that serve a task, the best on {chosen_on} is read")
    for kind in ("training", "test"):
        warned = {
            run.method: ", ".join(chosen)
            for run in group.runs
            if (chosen := run.result.get(f"chosen_on_{kind}_data"))
        }
        notes += [f"{method}: {what} chosen on {kind} data" for method, what in warned.items()]
    return notes


def _note_seeds(rows: Sequence[Row]) -> list[str]:
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for row in rows:
        by_seeds.setdefault(row.seeds, []).append(row.label)
    parts = [
        f"{', '.join(map(str, seeds))}" + (f" ({', '.join(who)})" if len(by_seeds) > 1 else "")
        for seeds, who in by_seeds.items()
    ]
    notes = [f"seeds {'; '.join(parts)}"]
    commits = {(run.result.get("versions") or {}).get("commit") for row in rows for run in row.runs}
    devices = {str(run.result.get("device")).partition(":")[0] for row in rows for run in row.runs}
    if len(commits) > 1:
        notes.append(f"the runs were made at {len(commits)} different commits of mtlrun")
    if len(devices) > 1:
        notes.append(f"times and memory are of different devices: {', '.join(sorted(devices))}")
    return notes


def _note_settings(group: Group) -> list[str]:
    """Settings outside method, weighting and solver that differ between rows: fair or not, a reader should know."""
    settings = [_training(row) for row in group.rows]
    notes = []
    for path in differing(settings):
        values: dict[str, list[str]] = {}
        for row, own in zip(group.rows, settings, strict=True):
            values.setdefault(describe(own, [path]).partition("=")[2], []).append(row.label)
        name = describe(settings[0], [path]).partition("=")[0]
        parts = [f"{value} ({', '.join(dict.fromkeys(who))})" for value, who in values.items()]
        notes.append(f"{name} differs: {'; '.join(parts)}")
    return notes


def _training(row: Row) -> dict[str, str]:
    """How it was trained: what a method, a weighting and a solver are not."""
    ours = ("optimizer.", "scheduler.", "trainer.")
    phase_1 = "trainer.collect_epochs"
    settings = row.runs[0].settings
    return {k: v for k, v in settings.items() if k.startswith(ours) and k != phase_1}


def _is_known(cell: Cell | None) -> bool:
    return cell is not None and cell.mean is not None
