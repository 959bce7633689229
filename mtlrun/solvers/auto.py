"""The solver that suits a problem's size."""

import numpy as np

from mtlrun.core.grouping import Plan
from mtlrun.solvers._solver import TimedSolver
from mtlrun.solvers.column_generation import cover_by_given, solve_by_columns
from mtlrun.solvers.exact import MAX_TASKS, Exact, TooLargeError, solve_exactly
from mtlrun.solvers.problem import Problem

MOST_STATES = 1 << 27  # of the dynamic program: about a second
MOST_TASKS = 12  # of the dynamic program


class Auto(TimedSolver):
    """Dynamic programming for at most 12 tasks, else column generation.

    Args: Those of `TimedSolver`.
    """

    def answer(self, problem: Problem) -> Plan:
        """The best groups, or the best found in time with a bound."""
        return solve_automatically(problem, self.time_limit)

    def best_of(self, problem: Problem, members: np.ndarray, scores: np.ndarray) -> list[int]:
        """By dynamic programming for at most 13 tasks, else by an integer program."""
        if len(problem.matrix) <= MAX_TASKS:
            return Exact.best_of(self, problem, members, scores)  # type: ignore[arg-type]  # uses no state
        return cover_by_given(problem, members, scores, self.time_limit)


def solve_automatically(problem: Problem, time_limit: float) -> Plan:
    """The best groups of a problem, or the best found in time with a bound.

    Raises:
        ValueError: If no groups are within the limits, or none were found in time.
    """
    if len(problem.matrix) <= MOST_TASKS:
        try:
            return solve_exactly(problem, most_states=MOST_STATES)
        except TooLargeError:
            pass
    return solve_by_columns(problem, time_limit)
