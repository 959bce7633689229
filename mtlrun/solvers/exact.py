"""The best groups by dynamic programming, for few tasks."""

import math
from collections.abc import Sequence

import numpy as np

from mtlrun.core.grouping import Plan
from mtlrun.solvers._answer import Answer, plan_of
from mtlrun.solvers._dynamic import Slots, best_cover, best_selection, counted
from mtlrun.solvers._solver import Solver
from mtlrun.solvers._subsets import all_groups, allowed, gains, masks_of, scores
from mtlrun.solvers.problem import Problem

MAX_TASKS = 13
MAX_STATES = 1 << 30  # groups times states of the tables; the traceback holds a bit for each
MAX_SLOTS = 1 << 15  # combinations of slots left, counted by kind
TIE = 1e-13  # values that differ by less, relative to the largest possible sum, are equal


class Exact(Solver):
    """The best groups, proven by dynamic programming over all subsets of at most 13 tasks.

    Source: PTG's Eq. 8 ("gain"), with the limits of its Section 5.3; the selection of TAG's
        published notebooks ("best_group", "hoa").
    Differs: of equally good groupings the fewest groups, then the lexicographically first; the
        notebooks keep the first that their search meets.

    Args: Those of `Solver`.
    """

    def answer(self, problem: Problem) -> Plan:
        """The best groups, proven."""
        return solve_exactly(problem)

    def check_problem(self, problem: Problem) -> None:
        """Refuses too many tasks and too large tables."""
        n = len(problem.matrix)
        _check_size(n)
        gain = problem.objective == "gain"
        count = int(allowed(problem, all_groups(n)).any(0).sum())
        _slots(problem, _num_states(problem, count) if gain else 3**n, MAX_STATES)

    def allowed_groups(self, tasks: Sequence[str]) -> list[tuple[str, ...]]:
        """Every group of the tasks within the limits, in lexicographic order."""
        _check_size(len(tasks))
        return super().allowed_groups(tasks)

    def best_of(self, problem: Problem, members: np.ndarray, scores: np.ndarray) -> list[int]:
        """Of equally good choices the fewest groups, then the first."""
        _check_size(len(problem.matrix))
        return _cover(problem, members, scores)


class TooLargeError(ValueError):
    """A problem is beyond the tables of the exact solver."""


def solve_exactly(problem: Problem, *, most_states: int = MAX_STATES) -> Plan:
    """The best groups of a problem, proven.

    Args:
        problem: What is asked.
        most_states: How large the tables may become.

    Raises:
        TooLargeError: If there are too many tasks to try all subsets, or too many states.
        ValueError: If no groups are within the limits.
    """
    _check_size(len(problem.matrix))
    members = all_groups(len(problem.matrix))
    members = members[allowed(problem, members).any(0)]
    if not len(members):
        raise ValueError("No group is within sizes, budgets and pairs. Loosen one of the limits.")
    problem.check_existing(len(members))
    if problem.objective == "gain":
        chosen = _select(problem, members, most_states)
    else:
        chosen = _cover(problem, members, scores(problem, members), most_states)
    groups = [np.flatnonzero(members[c]).tolist() for c in chosen]
    proof = f"exhaustive: dynamic programming over {len(members)} subsets"
    return plan_of(problem, "exact", Answer(groups, None, proof, True), ordered=True)


def _select(problem: Problem, members: np.ndarray, most_states: int) -> list[int]:
    """Positions of the groups that are best by "gain"."""
    n = len(problem.matrix)
    fits, values = allowed(problem, members), gains(problem, members)
    for kind, slots in enumerate(problem.slot_kinds()):
        if not fits[kind].any():
            raise ValueError(
                f"Every one of the {problem.num_groups} groups should have a set of tasks within its "
                f"budget. Found none for group {slots[0]} (from 0). Set solver.capacities."
            )
    slots_left = _slots(problem, _num_states(problem, len(members)), most_states)
    chosen = best_selection(
        values,
        masks_of(members),
        fits,
        slots_left,
        joins=problem.joins,
        num_tasks=n,
        tolerance=TIE * problem.num_groups * float(np.abs(values).max()),
    )
    return _found(problem, chosen)


def _cover(
    problem: Problem, members: np.ndarray, given: np.ndarray, most_states: int = MAX_STATES
) -> list[int]:
    """Positions of the groups whose best scores [C, n] for every task are best."""
    slots_left = _slots(problem, 3 ** len(problem.matrix), most_states)
    chosen = best_cover(
        given,
        masks_of(members),
        allowed(problem, members),
        slots_left,
        tolerance=TIE * len(problem.matrix) * float(np.abs(given[members]).max()),
        partition=problem.joins[1] == 1,
    )
    return _found(problem, chosen)


def _found(problem: Problem, chosen: list[int] | None) -> list[int]:
    if chosen is None:
        asked = "distinct groups" if problem.objective == "gain" else "groups or fewer"
        raise ValueError(
            f"{problem.num_groups} {asked} should cover the {len(problem.matrix)} tasks within the "
            f"limits. Found no such groups. Set solver.num_groups or loosen sizes or budgets."
        )
    return chosen


def _check_size(n: int) -> None:
    if n > MAX_TASKS:
        raise TooLargeError(
            f"The exact solver tries all subsets of at most {MAX_TASKS} tasks. Found {n} tasks. "
            f"Leave tasks out, or choose a solver for many tasks (mtlrun list solvers)."
        )


def _num_states(problem: Problem, num_groups: int) -> int:
    """Of "gain", for a number of groups that are allowed."""
    counts: int = counted(problem.joins, problem.num_groups) ** len(problem.matrix)
    return num_groups * counts


def _slots(problem: Problem, num_states: int, most_states: int) -> Slots:
    counts = [len(kind) for kind in problem.slot_kinds()]
    combinations = math.prod(count + 1 for count in counts)
    total = num_states * combinations * len(counts)
    if combinations > MAX_SLOTS or total > most_states:
        raise TooLargeError(
            f"The exact solver's tables hold at most {MAX_SLOTS} combinations of groups left and "
            f"{most_states} states. Found {combinations} and {total}: {len(problem.matrix)} tasks, "
            f"{problem.num_groups} groups, {len(counts)} different budgets. Set a smaller "
            f"solver.num_groups, or the same budget for every group, or solver=column_generation."
        )
    return Slots(counts)
