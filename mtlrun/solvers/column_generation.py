"""The best groups of many tasks by column generation, or the best found and a bound."""

import numpy as np

from mtlrun.core.grouping import Plan
from mtlrun.solvers._answer import plan_of
from mtlrun.solvers._begin import LISTED
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._columns import generate
from mtlrun.solvers._master import Shape, choose
from mtlrun.solvers._served import choose_serving
from mtlrun.solvers._solver import TimedSolver
from mtlrun.solvers._subsets import allowed
from mtlrun.solvers.problem import Problem


class ColumnGeneration(TimedSolver):
    """A linear program over groups that are listed as they are worth it, then an integer program.

    Which further groups are worth it is one quadratic form over 0/1 vectors for groups of all
    sizes. A search with bounds lists every vector that reaches a threshold. So the linear program
    holds for all groups, and the integer program for all that could be in a better choice. Where
    the time does not suffice, thresholds higher than needed, or eigenvalues, still give a bound.

    Source: PTG's Eq. 8 ("gain"), with the limits of its Section 5.3; the selection of TAG's
        published notebooks ("best_group", "hoa").
    Differs: PTG hands Eq. 9 to a commercial solver, TAG tries all choices. Floating point: the
        best within 1e-6 relative.

    Args: Those of `TimedSolver`.
    """

    def answer(self, problem: Problem) -> Plan:
        """The best groups, or the best found in time with a bound."""
        return solve_by_columns(problem, self.time_limit)

    def best_of(self, problem: Problem, members: np.ndarray, scores: np.ndarray) -> list[int]:
        """By an integer program over the groups."""
        return cover_by_given(problem, members, scores, self.time_limit)


def solve_by_columns(problem: Problem, time_limit: float, *, list_all: int = LISTED) -> Plan:
    """The best groups of a problem, or the best found in time with a bound.

    Args:
        problem: What is asked.
        time_limit: Seconds.
        list_all: Up to so many tasks all groups are looked at, one by one.

    Raises:
        ValueError: If no groups are within the limits, or none were found in time.
    """
    answer = generate(problem, Clock(time_limit), list_all=list_all)
    return plan_of(problem, "column_generation", answer)


def cover_by_given(
    problem: Problem, members: np.ndarray, scores: np.ndarray, time_limit: float
) -> list[int]:
    """Positions of the groups, at most m, whose best scores [C, n] for every task are best.

    Raises:
        ValueError: If the groups cannot cover the tasks, or the time was too short to prove the best.
    """
    fits, clock = allowed(problem, members), Clock(time_limit)
    counts = tuple(len(kind) for kind in problem.slot_kinds())
    if problem.joins[1] == 1:
        shape = Shape(members.shape[1], 1.0, 1.0, counts, exactly=False, distinct=False)
        values = np.where(members, scores, 0.0).sum(1)
        choice = choose(shape, members, values, fits, clock)
    else:
        choice = choose_serving(scores, fits, counts, clock)
    if choice.chosen is None or not choice.proven:
        reason = "Found no such groups." if choice.infeasible else "The time was too short to tell."
        raise ValueError(
            f"{problem.num_groups} groups or fewer should cover the {members.shape[1]} tasks within "
            f"the limits. {reason} Set solver.num_groups, loosen sizes or budgets, or raise "
            f"solver.time_limit."
        )
    return choice.chosen
