"""Which of our rows and columns stand for those of a paper's table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mtlrun.reports._settings import ABSENT, named
from mtlrun.reports.printed import FOLDER, PAPERS, Printed
from mtlrun.reports.tables import ResultTable, Row

Pair = tuple[ResultTable, Row]


@dataclass(frozen=True)
class Place:
    """A column of ours, in a paper's unit: plus + times * ours.

    Attributes:
        task: Empty for numbers over all tasks.
        name: Of the metric or number.
        times: What ours is multiplied by.
        plus: What is added.
    """

    task: str
    name: str
    times: float
    plus: float


@dataclass(frozen=True)
class Counterparts:
    """The explicit table that a file in papers/ has for a paper's table.

    Attributes:
        data: Our datasets by the paper's.
        backbone: Ours; empty where the paper does not say or there are several.
        rows: What a run's settings should be, by the paper's method; a list names alternatives.
        settings: The same, besides, by the paper's setting.
        columns: By the paper's "task/metric".
    """

    data: Mapping[str, str]
    backbone: str
    rows: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Mapping[str, Any]]
    columns: Mapping[str, Place]

    def wanted(self, cell: Printed) -> dict[str, Any] | None:
        """What runs of a printed row are set to; None where nothing of ours stands for it."""
        both = self.rows.get(f"{cell.method}, {cell.setting}")
        if both is not None:
            return dict(both)
        own = self.rows.get(cell.method)
        besides = self.settings.get(cell.setting, None if cell.setting else {})
        return None if own is None or besides is None else {**own, **besides}


def known_tables() -> list[str]:
    """The papers' tables that runs can be compared with, as "dsmtl/table2"."""
    return [f"{p}/{table}" for p in PAPERS for table in _read(p) if not table.startswith(".")]


def counterparts_of(name: str) -> Counterparts:
    """The explicit table of one of `known_tables`."""
    paper, _, table = name.partition("/")
    own = _read(paper)[table]
    return Counterparts(
        own["data"],
        own.get("backbone", ""),
        own["rows"],
        own.get("settings", {}),
        {column: _place(place) for column, place in own["columns"].items()},
    )


def matches(pairs: Iterable[Pair], wanted: Mapping[str, Any]) -> list[Pair]:
    """Rows whose settings are the wanted ones."""
    return [pair for pair in pairs if all(_is(pair[1], k, v) for k, v in wanted.items())]


def in_words(wanted: Mapping[str, Any]) -> str:
    """Settings as on the command line; of alternatives the last."""
    values = {k: v[-1] if isinstance(v, list) else v for k, v in wanted.items()}
    return " ".join(f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in values.items())


def _is(row: Row, key: str, value: Any) -> bool:
    run = row.runs[0]
    if key == "method":
        return bool(run.method == value)
    target = f"{key}._target_"
    found = run.settings.get(key, ABSENT)
    if target in run.settings:  # chosen as a file: known by its name
        found = json.dumps(named(target, run.settings[target])[1])
    alternatives = value if isinstance(value, list) else [value]
    return any(_equal(found, one) for one in alternatives)


def _equal(found: str, value: Any) -> bool:
    if found == ABSENT:
        return False
    own = json.loads(found)
    return bool(own == value and (type(own) is type(value) or _numbers(own, value)))


def _numbers(*values: Any) -> bool:
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def _place(place: Mapping[str, Any]) -> Place:
    task, _, name = place["is"].partition("/")
    return Place(task, name, place.get("times", 1.0), place.get("plus", 0.0))


def _read(paper: str) -> Mapping[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (FOLDER / f"{paper}.yaml").read_text(encoding="utf-8")
    found: Mapping[str, Any] = yaml.load(text, loader)
    return found


def groups_needed(cells: Sequence[Printed]) -> list[tuple[str, str, str]]:
    """The rows of a printed table, by dataset, method and setting, in order."""
    return list(dict.fromkeys((c.dataset, c.method, c.setting) for c in cells))
