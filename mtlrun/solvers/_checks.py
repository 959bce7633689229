"""What a user gave, checked and brought into one form; every error says the way out."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def integer(name: str, value: object, least: int = 1) -> int:
    """The value as an int.

    Raises:
        ValueError: If it is no integer (True and 2.0 are none) or below `least`.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ValueError(
            f"`{name}` should be an integer of at least {least}. Found `{name} = {value!r}`. "
            f"Set solver.{name}."
        )
    if value < least:
        raise ValueError(
            f"`{name}` should be at least {least}. Found `{name} = {value}`. Set solver.{name}."
        )
    return int(value)


def seconds(name: str, value: object) -> float:
    """The value as a positive time.

    Raises:
        ValueError: If it is no number above 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(
            f"`{name}` should be a number of seconds above 0. Found `{name} = {value!r}`. "
            f"Set solver.{name}."
        )
    return float(value)


def choice(name: str, value: object, options: Sequence[str]) -> None:
    """Raises ValueError where the value is none of the options."""
    if value not in options:
        raise ValueError(
            f"`{name}` should be one of {', '.join(options)}. Found `{name} = {value!r}`. "
            f"Set solver.{name}."
        )


def numbers(name: str, value: object) -> np.ndarray:
    """A float64 copy that cannot be written to.

    Raises:
        ValueError: If the value is not a number or an array of numbers.
    """
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.array(None)
    if array.dtype.kind not in "fiu":
        raise ValueError(
            f"`{name}` should be numbers in rows of one length. Found {value!r}. Set {name} anew."
        )
    array = array.astype(np.float64)
    array.setflags(write=False)
    return array


def task_names(tasks: Sequence[str], size: int) -> tuple[str, ...]:
    """The names, or numbers from 0 where there are none.

    Raises:
        ValueError: If they are not one for each row of the matrix, or not distinct.
    """
    names = tuple(str(task) for task in tasks) or tuple(str(t) for t in range(size))
    if len(names) != size or len(set(names)) != size:
        raise ValueError(
            f"`tasks` should be {size} distinct names, one for each row of the matrix. "
            f"Found {len(names)}: {', '.join(names)}."
        )
    return names


def square(value: object, tasks: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """A finite square matrix and the names of its rows.

    Raises:
        ValueError: If it is none, or the names do not fit it; a bad entry is named.
    """
    matrix = numbers("matrix", value)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(
            f"`matrix` should be square, one row and one column for each task. "
            f"Found the shape {matrix.shape}."
        )
    names = task_names(tasks, len(matrix))
    for i, k in np.argwhere(~np.isfinite(matrix)):
        raise ValueError(
            f"`matrix` should be finite. Found `S[{i},{k}] = {matrix[i, k]}` "
            f"(source `{names[i]}`, target `{names[k]}`)."
        )
    return matrix, names


def singleton(value: object) -> None:
    """Raises ValueError where the score of a task alone is neither a finite number nor "diagonal"."""
    number = isinstance(value, int | float | np.integer | np.floating)
    if value == "diagonal" or (number and not isinstance(value, bool) and math.isfinite(value)):  # type: ignore[arg-type]  # a number by then
        return
    raise ValueError(
        f'`singleton_score` should be a finite number or "diagonal". '
        f"Found `singleton_score = {value!r}`. Set solver.singleton_score."
    )


def limits(
    budgets: object, capacities: object, tasks: Sequence[str], num_groups: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Costs [n, m] and capacities [m], or None where nothing costs.

    Raises:
        ValueError: If one is given without the other, a shape or number does not fit, or a task
            fits no group whatever the others in it.
    """
    if budgets is None and capacities is None:
        return None
    if budgets is None or capacities is None:
        raise ValueError(
            "`budgets` and `capacities` should be given together. Found "
            f"only `{'capacities' if budgets is None else 'budgets'}`. "
            f"Set solver.{'budgets' if budgets is None else 'capacities'}."
        )
    size = len(tasks)
    costs, most = numbers("budgets", budgets), numbers("capacities", capacities)
    if costs.shape not in ((size,), (size, num_groups)) or not np.isfinite(costs).all():
        raise ValueError(
            f"`budgets` should be {size} finite costs, one for each task, or {size} rows of "
            f"{num_groups}, one for each group. Found the shape {costs.shape}"
            f"{'' if np.isfinite(costs).all() else ' with entries that are not finite'}. "
            f"Set solver.budgets."
        )
    if most.shape not in ((), (num_groups,)) or not (most >= 0).all():
        raise ValueError(
            f"`capacities` should be a number of at least 0, or {num_groups}, one for each group. "
            f"Found `capacities = {most.tolist()}`. Set solver.capacities."
        )
    costs = np.broadcast_to(costs.reshape(size, -1), (size, num_groups))
    most = np.broadcast_to(most, (num_groups,))
    cheapest = costs + (np.minimum(costs, 0).sum(0) - np.minimum(costs, 0))
    for task in np.flatnonzero((cheapest > most * (1 + 1e-9)).all(1)).tolist():
        raise ValueError(
            f"Every task's cost should be within the capacity of a group. Found task "
            f"`{tasks[task]}` with budgets {costs[task].tolist()} and capacities {most.tolist()}. "
            f"Set solver.capacities."
        )
    return costs, most


def pairs(name: str, value: Any, tasks: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs of tasks, by name or position, as sorted positions.

    Raises:
        ValueError: If one is no pair of two tasks.
    """
    found = []
    for pair in value:
        members = [pair] if isinstance(pair, str) else list(pair)
        places = [_position(name, task, tasks) for task in members]
        if len(places) != 2 or places[0] == places[1]:
            raise ValueError(f"`{name}` should be pairs of two tasks. Found {pair!r}.")
        found.append((min(places), max(places)))
    return tuple(sorted(set(found)))


def _position(name: str, task: object, tasks: Sequence[str]) -> int:
    if isinstance(task, str) and task in tasks:
        return tasks.index(task)
    if isinstance(task, int) and not isinstance(task, bool) and 0 <= task < len(tasks):
        return task
    raise ValueError(
        f"`{name}` should hold tasks out of {', '.join(tasks)}, or their positions from 0. "
        f"Found {task!r}."
    )
