"""Matrices and costs from files."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mtlrun.core.grouping import Affinity


def read_affinity(path: Path) -> Affinity:
    """An affinity from a CSV file or a run's affinity.json.

    Args:
        path: A CSV: a header row of task names, then a row for each source task, with or without a
            first column of names, which may be in another order.

    Raises:
        ValueError: If there is no such file, or it holds no matrix; a bad entry is named.
    """
    if path.suffix == ".json":
        try:
            return Affinity.from_json(_text(path))
        except (ValueError, AttributeError) as error:
            raise ValueError(f"`{path}`: {error}") from error
    rows = _rows(path)
    header, body = rows[0], rows[1:]
    widths = {len(row) for row in body}
    size = len(body)
    if len(widths) != 1 or (len(header), widths) not in (
        (size, {size}),
        (size, {size + 1}),
        (size + 1, {size + 1}),
    ):
        raise ValueError(
            f"`{path}` should be a header row of task names and as many rows of as many numbers, "
            f"with or without a first column of names. Found a header of {len(header)} and {size} "
            f"rows of {', '.join(map(str, sorted(widths))) or 'nothing'} entries."
        )
    names = header[len(header) - size :]
    if len(set(names)) < size or not all(names):
        raise ValueError(
            f"`{path}`: the header should be distinct task names. Found {', '.join(names)}."
        )
    sources = names
    if widths == {size + 1}:
        sources = [row[0] for row in body]
        body = [row[1:] for row in body]
        if sorted(sources) != sorted(names):
            raise ValueError(
                f"`{path}`: the first column should hold the tasks of the header, "
                f"{', '.join(names)}. Found {', '.join(sources)}."
            )
    values = np.array(
        [
            [
                _number(path, text, f"row {source}, column {name}")
                for name, text in zip(names, row, strict=True)
            ]
            for source, row in zip(sources, body, strict=True)
        ]
    )
    order = [sources.index(name) for name in names]
    return Affinity(tuple(names), values[order], 1, path.stem)


def read_budgets(path: Path, tasks: Sequence[str]) -> np.ndarray:
    """What each task costs, [T] or [T, m], in the order of the tasks.

    Args:
        path: A CSV of rows `task, cost` or `task, cost in group 1, cost in group 2, ...`, with or
            without a header.
        tasks: T names.

    Raises:
        ValueError: If there is no such file, or a task is missing, unknown or without numbers.
    """
    rows = _rows(path)
    if rows[0][0] not in tasks:
        rows = rows[1:]
    found = [row[0] for row in rows]
    if sorted(found) != sorted(tasks) or len({len(row) for row in rows}) != 1:
        raise ValueError(
            f"`{path}` should hold one row for each task ({', '.join(tasks)}): its name and what it "
            f"costs, once or in each group. Found rows for {', '.join(found) or 'none'}."
        )
    by_task = {row[0]: [_number(path, text, f"row {row[0]}") for text in row[1:]] for row in rows}
    costs = np.array([by_task[task] for task in tasks])
    if not costs.size:
        raise ValueError(f"`{path}` should hold a cost beside each task's name. Found names only.")
    return costs[:, 0] if costs.shape[1] == 1 else costs


def _rows(path: Path) -> list[list[str]]:
    """The rows that hold anything, without spaces around entries."""
    rows = [[entry.strip() for entry in row] for row in csv.reader(_text(path).splitlines())]
    rows = [row for row in rows if any(row)]
    if not rows:
        raise ValueError(f"`{path}` should hold a table. Found an empty file.")
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(
            f"`{path}` should be a file that can be read. {error.strerror}."
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"`{path}` should be text in UTF-8. {error.reason}.") from error


def _number(path: Path, text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"`{path}`: {where} should be a number. Found `{text}`.") from None
