"""A paper's table beside ours: numbers, differences, and which of them are too large."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtlrun.reports._derived import number_of
from mtlrun.reports._grid import DOWN, UP, Entry, Grid, Head
from mtlrun.reports.counterparts import (
    Counterparts,
    Pair,
    counterparts_of,
    groups_needed,
    in_words,
    matches,
)
from mtlrun.reports.measures import Split
from mtlrun.reports.printed import Printed, absolute, misprints, read_table
from mtlrun.reports.tables import Cell, ResultTable

# Numbers that are relative already: a tolerance of 5 % is 0.05 of a share, 5 of a percentage.
_RELATIVE = {
    "delta_i": 1.0, "delta_m (%)": 100.0, "eta (%)": 100.0, "improvement over random (%)": 100.0,
    "reduction of loss": 1.0, "total reduction of loss": 1.0,
}  # fmt: skip
_NUM_STDS = 2


@dataclass(frozen=True)
class Asked:
    """How to compare: the split whose scores count, the one that picks among groups, the tolerance."""

    split: Split
    chosen_on: Split | None
    tolerance: float


def compare(name: str, tables: Sequence[ResultTable], asked: Asked) -> Grid:
    """Three lines for every row of the paper that runs stand for: the paper's, ours, the difference.

    Improvements over single-task learning are added to the paper's single-task row first.

    Args:
        name: One of `known_tables`.
        tables: Of our runs.
        asked: How.

    Raises:
        ValueError: If no row of the paper has runs.
    """
    counterparts = counterparts_of(name)
    printed = read_table(name)
    cells = _best_of_groups(absolute(printed))
    columns = list(dict.fromkeys((c.dataset, c.task, c.metric) for c in cells))
    shown = [column for column in columns if f"{column[1]}/{column[2]}" in counterparts.columns]
    digits = {
        (c.dataset, c.task, c.metric): max(
            len(o.text.partition(".")[2])
            for o in printed
            if (o.dataset, o.task, o.metric) == (c.dataset, c.task, c.metric)
        )
        for c in printed
    }
    pairs, notes = _pairs(counterparts, tables)
    rows: list[tuple[Entry, ...]] = []
    rules: set[int] = set()
    used: dict[str, int] = {}  # our tables, numbered where there are several
    several = len({table.title for own in pairs.values() for table, _ in own}) > 1
    missing: list[str] = []
    foreign: list[str] = []
    for dataset, method, setting in groups_needed(cells):
        own = [c for c in cells if (c.dataset, c.method, c.setting) == (dataset, method, setting)]
        label = ", ".join(part for part in (method, setting) if part)
        wanted = counterparts.wanted(own[0])
        if wanted is None or dataset not in counterparts.data:
            foreign.append(label)
            continue
        if any(table.data != counterparts.data[dataset] for table, _ in pairs[dataset]):
            wanted = {k: v for k, v in wanted.items() if not k.startswith("data.")}  # it stands in
        found = matches(pairs[dataset], wanted)
        if not found:
            missing.append(f"{label} ({in_words(wanted)})")
        for pair in found:
            rules.add(len(rows))
            where = [c for c in shown if c[0] == dataset]
            lines = _lines(
                own, pair, counterparts=counterparts, asked=asked, digits=digits, columns=where
            )
            blank = [Entry("")] * len(shown)
            used.setdefault(pair[0].title, len(used) + 1)
            mark = f" [{used[pair[0].title]}]" if several else ""
            ours = f"{pair[1].label}, n={len(pair[1].runs)}{mark}: ours"
            names = (f"{label}: paper", ours, "difference")
            for text, line in zip(names, lines, strict=True):
                entries = list(blank)
                for column, entry in zip(where, line, strict=True):
                    entries[shown.index(column)] = entry
                rows.append((Entry(text, text), *entries))
    if not rows:
        raise ValueError(_nothing(name, counterparts, missing))
    hidden = [f"{task} {metric}" for _, task, metric in columns if (_, task, metric) not in shown]
    notes += [f"[{k}] {title}" if several else f"ours: {title}" for title, k in used.items()]
    notes += _notes(asked, rows, missing, foreign, hidden)
    notes += [f"misprint: {own.text}" for own in misprints(name)]
    heads = [Head("", "row"), *(_head(column, printed, counterparts) for column in shown)]
    return Grid(f"{name} beside ours", tuple(heads), tuple(rows), tuple(notes), frozenset(rules))


def _lines(
    own: Sequence[Printed],
    pair: Pair,
    *,
    counterparts: Counterparts,
    asked: Asked,
    digits: dict[tuple[str, str, str], int],
    columns: Sequence[tuple[str, str, str]],
) -> list[list[Entry]]:
    """The paper's line, ours, and the difference."""
    papers, ours, differences = [], [], []
    for column in columns:
        decimals = digits[column]
        cell = next((c for c in own if (c.dataset, c.task, c.metric) == column), None)
        place = counterparts.columns[f"{column[1]}/{column[2]}"]
        number = number_of(
            *pair, task=place.task, name=place.name, split=asked.split, chosen_on=asked.chosen_on
        )
        mean = None if number.mean is None else place.plus + place.times * number.mean
        std = None if number.std is None else abs(place.times) * number.std
        ours.append(_entry(Cell(mean, std), decimals))
        value = None if cell is None else cell.value
        papers.append(_entry(Cell(value, cell.std if cell else None), decimals))
        if cell is None or mean is None:
            differences.append(Entry("-"))
            continue
        difference = mean - cell.value
        allowed = _allowed(cell, place.name, asked.tolerance)
        text = f"{difference:+.{decimals}f}"
        differences.append(Entry(text, difference, is_outside=not abs(difference) <= allowed))
    return [papers, ours, differences]


def _allowed(cell: Printed, name: str, tolerance: float) -> float:
    if cell.std is not None:
        return _NUM_STDS * cell.std
    return tolerance * _RELATIVE.get(name, abs(cell.value))


def _entry(cell: Cell, decimals: int) -> Entry:
    if cell.mean is None:
        return Entry("-")
    text = f"{cell.mean:.{decimals}f}"
    return Entry(text if cell.std is None else f"{text} \u00b1 {cell.std:.{decimals}f}", cell.mean)


def _best_of_groups(cells: Sequence[Printed]) -> list[Printed]:
    """Of rows that a method has for every group, each task's best: what its total is the sum of."""
    best: dict[tuple[str, ...], Printed] = {}
    for cell in cells:
        key = (cell.dataset, cell.method, cell.setting, cell.task, cell.metric)
        sign = 1 if cell.higher_is_better else -1
        if key not in best or sign * cell.value > sign * best[key].value:
            best[key] = cell
    return list(best.values())


def _pairs(
    counterparts: Counterparts, tables: Sequence[ResultTable]
) -> tuple[dict[str, list[Pair]], list[str]]:
    """Our rows by the paper's dataset; of other data where there are none of it, and then that is said."""
    pairs: dict[str, list[Pair]] = {}
    notes: list[str] = []
    for dataset, ours in counterparts.data.items():
        fitting = [table for table in tables if table.data == ours]
        if not fitting and len(counterparts.data) == 1:
            fitting = [table for table in tables if _has_tasks_of(table, counterparts)]
            others = ", ".join(dict.fromkeys(table.data for table in fitting))
            if fitting:
                notes.append(
                    f"no runs of data={ours}: {others} stands in, and differences tell nothing "
                    f"about the paper"
                )
        pairs[dataset] = [(table, row) for table in fitting for row in table.rows]
        backbones = {table.backbone for table in fitting} - {counterparts.backbone}
        if counterparts.backbone and backbones:
            notes.append(
                f"the paper's backbone is {counterparts.backbone}; ours: {', '.join(backbones)}"
            )
    return pairs, notes


def _has_tasks_of(table: ResultTable, counterparts: Counterparts) -> bool:
    """Whether a task of the paper's columns is the table's; yes where those have none."""
    tasks = {place.task for place in counterparts.columns.values()} - {""}
    return not tasks or bool(tasks & {column.task for column in table.columns})


def _notes(
    asked: Asked,
    rows: Sequence[Sequence[Entry]],
    missing: Sequence[str],
    foreign: Sequence[str],
    hidden: Sequence[str],
) -> list[str]:
    differences = [entry for row in rows[2::3] for entry in row[1:] if entry.value is not None]
    outside = sum(entry.is_outside for entry in differences)
    percent = f"{100 * asked.tolerance:g}"
    notes = [
        f"{outside} of {len(differences)} differences are outside (!): of more than {_NUM_STDS} of "
        f"the paper's deviations where it prints them, else of more than {percent} % of the number "
        f"(delta_i: {asked.tolerance:g}; delta_m and eta: {percent})"
    ]
    if missing:
        notes.append(f"no runs for {'; '.join(missing)}")
    if foreign:
        notes.append(f"rows without a counterpart: {'; '.join(dict.fromkeys(foreign))}")
    if hidden:
        notes.append(f"columns without a counterpart: {'; '.join(dict.fromkeys(hidden))}")
    return notes


def _nothing(name: str, counterparts: Counterparts, missing: Sequence[str]) -> str:
    if not counterparts.rows:
        return (
            f"`--against` should name a table that runs can have. Found `{name}`, which none has."
        )
    data = ", ".join(counterparts.data.values())
    return (
        f"There should be runs for a row of {name}. Found none with data={data} and "
        f"{'; '.join(missing)}."
    )


def _head(column: tuple[str, str, str], cells: Sequence[Printed], own: Counterparts) -> Head:
    dataset, task, metric = column
    directions = {c.higher_is_better for c in cells if (c.dataset, c.task, c.metric) == column}
    arrow = {True: UP, False: DOWN, None: ""}[next(iter(directions))]
    group = f"{dataset} {task}" if len(own.data) > 1 else task
    return Head(group, metric, arrow)
