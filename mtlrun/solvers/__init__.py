"""Solvers that find groups of tasks, one file each. They need no torch and are usable alone.

>>> from mtlrun.solvers import solve
>>> plan = solve([[0, 2, -1], [2, 0, -1], [-1, -1, 1]], num_groups=2, tasks=["a", "b", "c"])
>>> [group.tasks for group in plan.groups]
[('a', 'b'), ('c',)]
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from mtlrun.core.grouping import Objective, Plan
from mtlrun.solvers import _checks
from mtlrun.solvers.auto import solve_automatically
from mtlrun.solvers.branch_and_bound import search_in_order
from mtlrun.solvers.column_generation import solve_by_columns
from mtlrun.solvers.exact import solve_exactly
from mtlrun.solvers.mip import solve_as_program
from mtlrun.solvers.problem import Problem

__all__ = ["Problem", "SolverName", "solve"]

SolverName = Literal["auto", "exact", "column_generation", "branch_and_bound", "mip"]
SOLVERS: Mapping[str, Callable[[Problem, float], Plan]] = {
    "auto": solve_automatically,
    "column_generation": solve_by_columns,
    "branch_and_bound": search_in_order,
    "mip": solve_as_program,
}


def solve(
    matrix: ArrayLike,
    *,
    num_groups: int,
    objective: Objective = "gain",
    tasks: Sequence[str] = (),
    min_size: int = 1,
    max_size: int | None = None,
    partition: bool = False,
    budgets: ArrayLike | None = None,
    capacities: ArrayLike | None = None,
    diagonal: Literal["as_given", "zero"] = "as_given",
    singleton_score: float | Literal["diagonal"] = -1e6,
    together: Sequence[tuple[str | int, str | int]] = (),
    apart: Sequence[tuple[str | int, str | int]] = (),
    min_joins: int = 1,
    max_joins: int | None = None,
    solver: SolverName = "auto",
    time_limit: float = 60.0,
) -> Plan:
    """The best groups of tasks; `Problem` says what every argument means.

    Args:
        matrix: [n, n]; matrix[i, k] is what training task i does for task k, positive helps
            (errors for "hoa").
        num_groups: Exactly so many distinct groups for "gain", at most so many for the others.
        objective: "gain" (PTG), "best_group" (TAG) or "hoa".
        tasks: n names; numbers from 0 by default.
        min_size: Tasks of a group, at least.
        max_size: Tasks of a group, at most.
        partition: Whether a task is in one group only.
        budgets: [n] what each task costs, or [n, m] in each group.
        capacities: What a group's tasks cost together, at most; one number, or [m].
        diagonal: Whether "gain" counts the diagonal as it is or as 0.
        singleton_score: Of a task alone in "best_group".
        together: Pairs of tasks: a group that holds one holds the other.
        apart: Pairs of tasks that no group holds both of.
        min_joins: Groups that a task is in, at least.
        max_joins: Groups that a task is in, at most.
        solver: By name; "auto" takes the one that suits the size.
        time_limit: Seconds, of all but "exact".

    Returns:
        The groups, their objective, a bound that no groups are better than, and what proved it.

    Raises:
        ValueError: If the input is bad, or no groups are within the limits.
    """
    limit = _checks.seconds("time_limit", time_limit)
    _checks.choice("solver", solver, get_args(SolverName))
    problem = Problem(
        _checks.numbers("matrix", matrix),
        num_groups,
        objective,
        tasks,
        min_size=min_size,
        max_size=max_size,
        partition=partition,
        budgets=_optional("budgets", budgets),
        capacities=_optional("capacities", capacities),
        diagonal=diagonal,
        singleton_score=singleton_score,
        together=together,
        apart=apart,
        min_joins=min_joins,
        max_joins=max_joins,
    )
    if solver == "exact":
        return solve_exactly(problem)
    return SOLVERS[solver](problem, limit)


def _optional(name: str, value: ArrayLike | None) -> np.ndarray | None:
    return None if value is None else _checks.numbers(name, value)
