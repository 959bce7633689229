"""A bound of what groups give their tasks, by how many tasks groups of each size can serve."""

import numpy as np
from ortools.linear_solver.pywraplp import Solver

from mtlrun.solvers._clock import Clock
from mtlrun.solvers._items import Items
from mtlrun.solvers._served_parts import ServedParts

ONE_BY_ONE = 16  # sizes; larger ones are taken together, each range this much wider:
WIDER = 1.25


def size_bound(items: Items, count: int, clock: Clock) -> float:
    """No m groups give their tasks more in sum ("best_group", "hoa"; units of the largest entry).

    A group of k tasks gives one of them at most the mean of its k - 1 best affinities, and serves k
    tasks. So each task takes a size, and the tasks of size k are at most k times the groups of it. The
    bound is what the duals of this linear program prove.

    Args:
        items: What groups are made of; that some tasks go together is left out.
        count: m.
        clock: When to stop the linear program.
    """
    family = ServedParts(items)
    few, many = items.problem.sizes
    ranges = _ranges(few, many)
    given = _given(family, [low for low, _ in ranges])  # [R, n]
    held = np.array([high for _, high in ranges], dtype=np.float64)
    prices = _prices(given, held, count, clock)
    return float(count * (held * prices).max() + (given - prices[:, None]).max(0).sum())


def _ranges(few: int, many: int) -> list[tuple[int, int]]:
    """Sizes from few to many, the large ones together."""
    ranges, low = [], few
    while low <= many:
        high = low if low <= ONE_BY_ONE else min(many, int(low * WIDER))
        ranges.append((low, high))
        low = high + 1
    return ranges


def _given(family: ServedParts, sizes: list[int]) -> np.ndarray:
    """[R, n] the most that a group of at least each size gives each task."""
    n = len(family.matrix)
    falling = -np.sort(-np.where(np.eye(n, dtype=bool), -np.inf, family.matrix), axis=0)
    means = np.cumsum(falling, axis=0) / np.arange(1, n + 1)[:, None]
    return np.array([family.alone if size == 1 else means[size - 2] for size in sizes])


def _prices(given: np.ndarray, held: np.ndarray, count: int, clock: Clock) -> np.ndarray:
    """[R] what serving a task in a group of each size costs, at least 0."""
    solver = Solver.CreateSolver("GLOP")
    infinity = solver.infinity()
    groups = [solver.NumVar(0.0, infinity, "") for _ in held]
    solver.Add(sum(groups) <= count)
    room = []
    served = [[solver.NumVar(0.0, infinity, "") for _ in row] for row in given]
    for own, group, size in zip(served, groups, held.tolist(), strict=True):
        room.append(solver.Add(sum(own) <= size * group))
    for task in zip(*served, strict=True):
        solver.Add(sum(task) == 1)
    objective = solver.Objective()
    objective.SetMaximization()
    for own, row in zip(served, given.tolist(), strict=True):
        for variable, value in zip(own, row, strict=True):
            objective.SetCoefficient(variable, value)
    solver.SetTimeLimit(max(1, int(1e3 * clock.left)))
    if solver.Solve() != Solver.OPTIMAL:
        return np.zeros(len(held))
    return np.maximum([row.dual_value() for row in room], 0.0)
