"""The search published with TAG: all choices of groups in its order, less those that cannot win."""

import numpy as np

from mtlrun.core.grouping import Plan
from mtlrun.solvers._answer import Answer, plan_of
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._solver import TimedSolver
from mtlrun.solvers._subsets import all_groups, allowed, masks_of
from mtlrun.solvers.column_generation import cover_by_given
from mtlrun.solvers.problem import Problem

MAX_TASKS = 12
TIE = 1e-13  # values that differ by less, relative to the largest score of a group, are equal


class BranchAndBound(TimedSolver):
    """Goes through choices of at most m groups in the order of TAG's notebooks and keeps the first best.

    Groups are in lexicographic order, but a task alone comes after the groups that begin with it. A
    branch is left out where its groups and the best that later groups give every task, together,
    are no better than the best choice so far: the result is that of the search through all choices,
    with a group that serves no task where that search meets it first.

    Source: Efficiently Identifying Task Groupings for Multi-Task Learning, arXiv:2109.04617, the
        published notebooks TAG_network_selection and HOA_network_selection.
    Differs: leaves branches out; keeps sizes, budgets, pairs and partitions; values that differ by
        float rounding are equal.

    Args: Those of `TimedSolver`.
    """

    def answer(self, problem: Problem) -> Plan:
        """The first best groups in the search's order, or the best so far with a bound."""
        return search_in_order(problem, self.time_limit)

    def check_problem(self, problem: Problem) -> None:
        """Refuses another objective and too many tasks."""
        _check_served(problem)

    def best_of(self, problem: Problem, members: np.ndarray, scores: np.ndarray) -> list[int]:
        """By an integer program over the groups."""
        return cover_by_given(problem, members, scores, self.time_limit)


def search_in_order(problem: Problem, time_limit: float, *, prune: bool = True) -> Plan:
    """The first best groups of a problem in the search's order, or the best so far with a bound.

    Args:
        problem: What is asked.
        time_limit: Seconds.
        prune: Whether branches that cannot win are left out.

    Raises:
        ValueError: If the objective is "gain", there are too many tasks, or no groups are within
            the limits.
    """
    _check_served(problem)
    n = len(problem.matrix)
    members = all_groups(n)
    # {t}, {t, ...}, ... becomes {t, ...}, ..., {t}
    first, alone = members.argmax(1), members.sum(1) == 1
    members = members[np.lexsort((np.arange(len(members)), alone, first))]
    members = members[allowed(problem, members).any(0)]
    if not len(members):
        raise ValueError("No group is within sizes, budgets and pairs. Loosen one of the limits.")
    problem.check_existing(len(members))
    search = _Search(problem, members, Clock(time_limit), prune)
    open_bound = search.visit(0, np.full(n, -np.inf), 0, [])
    complete = open_bound == -np.inf
    if search.best is None:
        found = "no such groups" if complete else "none in the time"
        raise ValueError(
            f"{problem.num_groups} groups or fewer should cover the {n} tasks within the limits. "
            f"Found {found}. Set solver.num_groups or loosen sizes or budgets."
        )
    sign = problem.sign
    groups = [np.flatnonzero(members[k]).tolist() for k in search.best]
    proof = f"{'all' if complete else 'some'} choices of {len(members)} subsets, in order"
    bound = None if complete else sign * max(open_bound, search.value)
    answer = Answer(groups, bound, proof, True if complete else None)
    return plan_of(problem, "branch_and_bound", answer, ordered=True)


def _check_served(problem: Problem) -> None:
    n = len(problem.matrix)
    if problem.objective == "gain":
        raise ValueError(
            "`branch_and_bound` should be used for `best_group` or `hoa`, whose search it is. Found "
            "`objective = gain`. Set solver.objective, or solver=auto."
        )
    if n > MAX_TASKS:
        raise ValueError(
            f"`branch_and_bound` goes through all subsets of at most {MAX_TASKS} tasks. Found {n} "
            f"tasks. Leave tasks out, or set solver=auto."
        )


class _Search:
    def __init__(self, problem: Problem, members: np.ndarray, clock: Clock, prune: bool) -> None:
        self.problem, self.members, self.clock, self.prune = problem, members, clock, prune
        sign = problem.sign
        self.scores = np.full(members.shape, -np.inf)
        for k, group in enumerate(members):
            tasks = np.flatnonzero(group).tolist()
            for t in tasks:
                self.scores[k, t] = sign * problem.score(tasks, t)
        self.masks = masks_of(members)
        together = self.scores[members.sum(1) > 1]  # a task alone may score -1e6
        sizes = np.abs(together[np.isfinite(together)])
        self.tolerance = TIE * float(sizes.max(initial=0.0))
        # The best that this group or any later one gives each task
        self.later = np.maximum.accumulate(self.scores[::-1])[::-1]
        self.later = np.vstack([self.later, np.full(members.shape[1], -np.inf)])
        self.same_budgets = len(problem.slot_kinds()) == 1
        self.best: list[int] | None = None
        self.value = -np.inf

    def visit(self, begin: int, served: np.ndarray, mask: int, taken: list[int]) -> float:
        """Goes through the choices that add groups from `begin` on.

        Returns:
            A bound of the choices that were left out for the time; -inf for none.
        """
        left = self.problem.num_groups - len(taken)
        after = np.maximum(served, self.scores[begin:])
        values = after.mean(1)
        ahead = np.maximum(after, self.later[begin + 1 :]).mean(1) if left > 1 else values
        if self.problem.joins[1] == 1:
            disjoint = (self.masks[begin:] & mask) == 0
            values, ahead = np.where(disjoint, values, -np.inf), np.where(disjoint, ahead, -np.inf)
        at = 0
        while True:
            enough = self._enough()
            good = np.flatnonzero(ahead[at:] > (enough if self.prune else -np.inf))
            if not len(good):
                return -np.inf
            at += int(good[0])
            if self.clock.over:
                return float(ahead[at:].max())
            own = [*taken, begin + at]
            if values[at] > enough and self._affordable(own):
                self.best, self.value = own, float(values[at])
            if left > 1:
                own_mask = mask | int(self.masks[begin + at])
                missed = self.visit(begin + at + 1, after[at], own_mask, own)
                if missed > -np.inf:
                    return max(missed, float(ahead[at:].max()))
            at += 1

    def _enough(self) -> float:
        """What a better choice's value exceeds: the best value and the rounding in it."""
        if self.best is None:
            return -np.inf
        rounding = 4 * float(np.finfo(float).eps) * abs(self.value)
        return self.value + max(self.tolerance, rounding)

    def _affordable(self, chosen: list[int]) -> bool:
        """Whether every group has a slot of its own; budgets that are equal were looked at before."""
        if self.same_budgets:
            return True
        groups = [np.flatnonzero(self.members[k]).tolist() for k in chosen]
        return self.problem.slots(groups) is not None
