"""Numbers that only papers' tables have: speed-ups, reductions, improvements over random groups."""

from collections.abc import Callable, Mapping, Sequence

from mtlrun.reports.aggregates import Scores, mean_and_std, relative_change
from mtlrun.reports.measures import Split
from mtlrun.reports.results import STEP_TIME, reference_row
from mtlrun.reports.tables import Cell, ResultTable, Row, row_means, row_scores

NOTHING = Cell(None, None)
_EVERY = "method.collector.every"


def number_of(
    table: ResultTable, row: Row, *, task: str, name: str, split: Split, chosen_on: Split | None
) -> Cell:
    """A row's number by its name; one that the table shows, or a derived one.

    Args:
        table: Of the row.
        row: Whose number.
        task: Empty for numbers over all tasks.
        name: Of a column, or "speed-up over single-task", "speed-up of collection",
            "improvement over random (%)", "reduction of loss", "total reduction of loss".
        split: Whose scores.
        chosen_on: The split that picks among groups.
    """
    for column, cell in row.cells.items():
        if (column.task, column.name) == (task, name):
            return cell
    if name.endswith("reduction of loss"):
        tasks = [task] if task else [own["name"] for own in row.runs[0].result["tasks"]]
        return _loss_reduction(table, row, tasks, split, chosen_on)
    derive = _DERIVED.get(name)
    value = None if derive is None else derive(table, row)
    return Cell(value, None)


def _loss_reduction(
    table: ResultTable, row: Row, tasks: Sequence[str], split: Split, chosen_on: Split | None
) -> Cell:
    single = reference_row(row, table.rows)
    reference = None if single is None else row_means(single, split, None)
    if reference is None:
        return NOTHING
    values = [_reduction(one, reference, tasks) for one in row_scores(row, split, chosen_on)]
    return Cell(*mean_and_std(values))


def _reduction(scores: Scores, reference: Scores, tasks: Sequence[str]) -> float | None:
    """Sum over tasks of the share of the single-task loss that is saved; None where one is missing."""
    changes = []
    for task in tasks:
        losses = scores.get(task, {}).get("loss"), reference.get(task, {}).get("loss")
        if losses[0] is None or losses[1] is None:
            return None
        changes.append(relative_change(losses[0], losses[1], higher_is_better=False))
    known = [change for change in changes if change is not None]
    return sum(known) if len(known) == len(changes) else None


def _speed_up(table: ResultTable, row: Row) -> float | None:
    single = reference_row(row, table.rows)
    before = None if single is None else single.cells.get(STEP_TIME, NOTHING).mean
    own = row.cells.get(STEP_TIME, NOTHING).mean
    return before / own if before and own else None


def _collection_speed_up(table: ResultTable, row: Row) -> float | None:
    """Beside the row that collects at every step and is the same else."""
    own = dict(row.runs[0].settings)
    every = own.pop(_EVERY, None)
    for other in table.rows:
        settings = dict(other.runs[0].settings)
        if settings.pop(_EVERY, None) == "1" and settings == own and other.method == row.method:
            times = [_collect_seconds(one) for one in (other, row)]
            return times[0] / times[1] if every and times[0] and times[1] else None
    return None


def _collect_seconds(row: Row) -> float | None:
    """The mean over seeds; None where a collection was taken over from another run."""
    found = []
    for run in row.runs:
        own = [t for t in run.result["trainings"] if t["phase"] == "collect"]
        if not own or any(training.get("reused") for training in own):
            return None
        found.append(sum(training["seconds"] for training in own))
    return mean_and_std(found)[0]


def _improvement_over_random(table: ResultTable, row: Row) -> float | None:
    """By the total of the shared leading metric, as random groupings of the same number have it."""
    groups = row.runs[0].settings.get("solver.num_groups")
    for other in table.rows:
        if other.method == "random" and other.runs[0].settings.get("solver.num_groups") == groups:
            pairs = [
                (row.cells[column].mean, other.cells.get(column, NOTHING).mean, column)
                for column in row.cells
                if not column.task and column.name.startswith("total ")
            ]
            for own, drawn, column in pairs:
                if own is None or drawn is None:
                    return None
                higher = bool(column.higher_is_better)
                change = relative_change(own, drawn, higher_is_better=higher)
                return None if change is None else 100 * change
    return None


_DERIVED: Mapping[str, Callable[[ResultTable, Row], float | None]] = {
    "speed-up over single-task": _speed_up,
    "speed-up of collection": _collection_speed_up,
    "improvement over random (%)": _improvement_over_random,
}
