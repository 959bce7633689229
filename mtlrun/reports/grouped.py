"""Sorts runs into tables and rows: what may be averaged, and what may not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mtlrun.reports._settings import ABSENT, BUDGET, describe, differing
from mtlrun.reports.aggregates import Directions
from mtlrun.reports.runs import Run
from mtlrun.reports.tables import Row

_OF_DATA = ("data.", "backbone.")
_OWN_SPLIT = "data.split_seed"
MOST_COPIES = 3


@dataclass(frozen=True, eq=False)
class Group:
    """The rows of a table before there are numbers, with what they share."""

    settings: Mapping[str, str]
    rows: tuple[Row, ...]

    @property
    def runs(self) -> list[Run]:
        """Of all rows."""
        return [run for row in self.rows for run in row.runs]


def group_runs(runs: Iterable[Run]) -> tuple[list[Group], list[str]]:
    """Runs by table and row, and remarks on those left out as copies.

    Raises:
        ValueError: If two runs of a row have the same seed and other scores, or the files of the
            data changed under the same settings.
    """
    tables: dict[tuple[object, ...], dict[tuple[object, ...], list[Run]]] = {}
    identities: dict[tuple[object, ...], Run] = {}
    for run in runs:
        shared = _shared(run)
        own = {k: v for k, v in run.settings.items() if k not in shared and k != _OWN_SPLIT}
        table_key = (run.result["data"], run.result["backbone"], *shared.items(), _tasks(run))
        if _OWN_SPLIT not in run.settings:
            table_key = (*table_key, run.data_identity)
        else:
            key = (table_key, run.settings[_OWN_SPLIT])
            other = identities.setdefault(key, run)
            if other.data_identity != run.data_identity:
                raise ValueError(
                    f"Runs of the same settings should be of the same data. Found other examples in "
                    f"{other.folder} than in {run.folder}. Report on them one after the other."
                )
        row_key = (run.method, *own.items())
        tables.setdefault(table_key, {}).setdefault(row_key, []).append(run)
    copies: list[tuple[Run, Run]] = []
    groups = []
    for table in tables.values():
        rows = [part for row in table.values() for part in _by_split(row)]
        kept = [_without_copies(row, copies) for row in rows]
        groups.append(Group(_shared(kept[0][0]), _label(kept)))
    return groups, _of_copies(copies)


def tell_apart(groups: Sequence[Group]) -> list[str]:
    """For every table, the settings that tell it from others of the same data; files too."""
    told = []
    for group in groups:
        data = group.runs[0].result["data"]
        same = [other for other in groups if other.runs[0].result["data"] == data]
        paths = [p for p in differing([other.settings for other in same]) if p not in BUDGET]
        paths = [path for path in paths if path != "backbone._target_"]
        words = describe(group.settings, paths)
        twins = [o for o in same if describe(o.settings, [*paths, *BUDGET]) == describe(group.settings, [*paths, *BUDGET])]  # fmt: skip
        if len(twins) > 1:
            words = f"{words} files {twins.index(group) + 1}".lstrip()
        told.append(words)
    return told


def budget_of(group: Group) -> str:
    """Of training, and how much is evaluated, in words."""
    epochs, steps, batches = (group.settings.get(name, "null") for name in BUDGET)
    words = f"{epochs} epoch{'' if epochs == '1' else 's'}"
    if steps not in ("null", ABSENT):
        words += f" of {steps} batch{'' if steps == '1' else 'es'}"
    if batches not in ("null", ABSENT):
        words += f", {batches} batch{'' if batches == '1' else 'es'} evaluated"
    return words


def directions_of(group: Group) -> Directions:
    """By task, by metric, those that tables show."""
    tasks = group.runs[0].result["tasks"]
    return {
        task["name"]: {metric: task["directions"][metric] for metric in task["metrics"]}
        for task in tasks
    }


def _shared(run: Run) -> dict[str, str]:
    return {
        path: value
        for path, value in sorted(run.settings.items())
        if (path.startswith(_OF_DATA) or path in BUDGET) and path != _OWN_SPLIT
    }


def _tasks(run: Run) -> tuple[tuple[str, ...], ...]:
    return tuple((task["name"], *task["metrics"]) for task in run.result["tasks"])


def _by_split(runs: Sequence[Run]) -> list[list[Run]]:
    """One row where each seed has the split of its own, or all have the same; else one for each split."""
    splits = [run.settings.get(_OWN_SPLIT) for run in runs]
    own = all(split == str(run.seed) for split, run in zip(splits, runs, strict=True))
    if own or len(set(splits)) == 1:
        return [list(runs)]
    return [
        [run for run, split in zip(runs, splits, strict=True) if split == one]
        for one in dict.fromkeys(splits)
    ]


def _without_copies(runs: Sequence[Run], copies: list[tuple[Run, Run]]) -> list[Run]:
    kept: dict[int, Run] = {}
    for run in runs:
        other = kept.setdefault(run.seed, run)
        if other is run:
            continue
        if other.result["scores"] != run.result["scores"]:
            raise ValueError(
                f"A seed should be there once. Found seed {run.seed} of {run.method} with the same "
                f"settings and other scores in {other.folder} and {run.folder}. Name the folders "
                f"that count, or move one away."
            )
        copies.append((run, other))
    return [kept[seed] for seed in sorted(kept)]


def _of_copies(copies: Sequence[tuple[Run, Run]]) -> list[str]:
    """A line for each of a few, one line for many."""
    if len(copies) > MOST_COPIES:
        run, other = copies[0]
        return [
            f"left out {len(copies)} folders with the settings, seed and scores of others, such as "
            f"{run.folder}: a copy of {other.folder}"
        ]
    return [
        f"left out {run.folder}: a copy of {other.folder}, with the same seed and scores"
        for run, other in copies
    ]


def _label(rows: Sequence[Sequence[Run]]) -> tuple[Row, ...]:
    """Rows in order, each told from the others of its method."""
    own = [(runs[0].method, _of_row(runs)) for runs in rows]
    paths = {
        method: differing([settings for other, settings in own if other == method])
        for method in dict.fromkeys(method for method, _ in own)
    }
    labelled = [
        Row(method, describe(settings, paths[method]), tuple(runs))
        for runs, (method, settings) in zip(rows, own, strict=True)
    ]
    return tuple(sorted(labelled, key=lambda row: (row.method != "single_task", row.label)))


def _of_row(runs: Sequence[Run]) -> dict[str, str]:
    """Settings that tell rows apart; a split of each seed's own is one value."""
    own = {
        path: value
        for path, value in runs[0].settings.items()
        if not path.startswith(_OF_DATA) and path not in BUDGET
    }
    splits = [run.settings.get(_OWN_SPLIT) for run in runs]
    if splits[0] is not None:
        each = all(split == str(run.seed) for split, run in zip(splits, runs, strict=True))
        own[_OWN_SPLIT] = "seed" if each else splits[0]
    return own
