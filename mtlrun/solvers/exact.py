"""The best groups by dynamic programming, for few tasks."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from mtlrun.core.grouping import Affinity, Group, GroupingSolver, Objective, Plan
from mtlrun.solvers import _checks
from mtlrun.solvers._dynamic import Slots, best_cover, best_selection, counted
from mtlrun.solvers._subsets import all_groups, allowed, gains, masks_of, scores, unit
from mtlrun.solvers.problem import Problem

MAX_TASKS = 13
MAX_STATES = 1 << 30  # groups times states of the tables; the traceback holds a bit for each
MAX_SLOTS = 1 << 15  # combinations of slots left, counted by kind
TIE = 1e-13  # values that differ by less, relative to the largest possible sum, are equal


class Exact(GroupingSolver):
    """The best groups, proven by dynamic programming over all subsets of at most 13 tasks.

    Source: PTG's Eq. 8 ("gain"), with the limits of its Section 5.3; the selection of TAG's
        published notebooks ("best_group", "hoa").
    Differs: of equally good groupings the fewest groups, then the lexicographically first; the
        notebooks keep the first that their search meets.

    Args:
        num_groups: m; exactly m distinct groups for "gain", at most m for the others.
        objective: What is best; None for what the method asks for.
        min_size: Tasks of a group, at least.
        max_size: Tasks of a group, at most; None for all.
        partition: Whether a task is in one group only.
        diagonal: Whether "gain" counts the diagonal as it is or as 0.
        singleton_score: Of a task alone in "best_group".
        budgets: What each task costs, or rows of what it costs in each group; None for nothing.
        capacities: The most that a group's tasks cost together, or one number for each group.
    """

    def __init__(
        self,
        *,
        num_groups: int = 3,
        objective: Objective | None = None,
        min_size: int = 1,
        max_size: int | None = None,
        partition: bool = False,
        diagonal: Literal["as_given", "zero"] = "as_given",
        singleton_score: float | Literal["diagonal"] = -1e6,
        budgets: Sequence[float] | Sequence[Sequence[float]] | None = None,
        capacities: float | Sequence[float] | None = None,
    ) -> None:
        self.num_groups = _checks.integer("num_groups", num_groups)
        self.objective = objective
        self.min_size = _checks.integer("min_size", min_size)
        self.max_size = None if max_size is None else _checks.integer("max_size", max_size)
        self.partition = partition
        self.diagonal = diagonal
        self.singleton_score = singleton_score
        self.budgets = None if budgets is None else _checks.numbers("budgets", budgets)
        self.capacities = None if capacities is None else _checks.numbers("capacities", capacities)

    def solve(self, affinity: Affinity, *, objective: Objective) -> Plan:
        """The best groups by pairwise affinity, proven."""
        problem = self._problem(
            affinity.values,
            affinity.tasks,
            self.objective or objective,
            diagonal=self.diagonal,
            singleton_score=self.singleton_score,
        )
        return solve_exactly(problem)

    def allowed_groups(self, tasks: Sequence[str]) -> list[tuple[str, ...]]:
        """Every group of the tasks within sizes and budgets, by the binary number of its tasks."""
        problem = self._problem(np.zeros((len(tasks), len(tasks))), tasks, "best_group")
        _check_size(problem)
        members = all_groups(len(tasks))
        members = members[allowed(problem, members).any(0)]
        return [tuple(tasks[int(t)] for t in np.flatnonzero(own)) for own in members]

    def select(
        self, tasks: Sequence[str], groups: Sequence[Sequence[str]], scores: np.ndarray
    ) -> Plan:
        """The best cover by trained groups; those that break the solver's limits are left out."""
        n = len(tasks)
        problem = self._problem(np.zeros((n, n)), tasks, "best_group")
        _check_size(problem)
        sets = [_positions(group, problem.tasks) for group in groups]
        given = _checks.numbers("scores", scores)
        if given.shape != (len(sets), n) or not sets:
            raise ValueError(
                f"`scores` should be {len(sets)} x {n}, candidate groups by tasks, for at least one "
                f"group. Found the shape {given.shape}."
            )
        members = np.array([[t in own for t in range(n)] for own in sets])
        for g, t in np.argwhere(members & ~np.isfinite(given)):
            raise ValueError(
                f"The score of every task in a candidate group should be finite. Found "
                f"{given[g, t]} for task `{problem.tasks[t]}` in group {tuple(groups[g])}."
            )
        if len(set(sets)) < len(sets):
            twice = next(own for own in sets if sets.count(own) > 1)
            names = tuple(problem.tasks[t] for t in twice)
            raise ValueError(f"Candidate groups should be distinct. Found {names} twice.")
        order = sorted(range(len(sets)), key=lambda g: sets[g])
        given, members = np.where(members, given, -np.inf)[order], members[order]
        chosen = _cover(problem, members, given / unit(given[members]))
        serves: list[list[int]] = [[] for _ in chosen]
        for t in range(n):
            serves[int(np.argmax(given[chosen, t]))].append(t)
        value = math.fsum(given[chosen].max(0)) / n
        return _plan(problem, [sets[order[c]] for c in chosen], serves, value, len(sets))

    def _problem(
        self, matrix: np.ndarray, tasks: Sequence[str], objective: Objective, **more: Any
    ) -> Problem:
        return Problem(
            matrix,
            self.num_groups,
            objective,
            tasks,
            min_size=self.min_size,
            max_size=self.max_size,
            partition=self.partition,
            budgets=self.budgets,
            capacities=self.capacities,
            **more,
        )


def solve_exactly(problem: Problem) -> Plan:
    """The best groups of a problem, proven.

    Raises:
        ValueError: If there are too many tasks to try all subsets, or no groups within the limits.
    """
    _check_size(problem)
    members = all_groups(len(problem.matrix))
    members = members[allowed(problem, members).any(0)]
    if not len(members):
        raise ValueError("No group is within sizes, budgets and pairs. Loosen one of the limits.")
    problem.check_existing(len(members))
    if problem.objective == "gain":
        chosen = _select(problem, members)
    else:
        chosen = _cover(problem, members, scores(problem, members))
    groups = [tuple(np.flatnonzero(members[c]).tolist()) for c in chosen]
    return _plan(problem, groups, problem.served(groups), problem.value(groups), len(members))


def _select(problem: Problem, members: np.ndarray) -> list[int]:
    """Positions of the groups that are best by "gain"."""
    n = len(problem.matrix)
    fits, values = allowed(problem, members), gains(problem, members)
    for kind, slots in enumerate(problem.slot_kinds()):
        if not fits[kind].any():
            raise ValueError(
                f"Every one of the {problem.num_groups} groups should have a set of tasks within its "
                f"budget. Found none for group {slots[0]} (from 0). Set solver.capacities."
            )
    slots_left = _slots(problem, len(members) * counted(problem.joins, problem.num_groups) ** n)
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


def _cover(problem: Problem, members: np.ndarray, given: np.ndarray) -> list[int]:
    """Positions of the groups whose best scores [C, n] for every task are best."""
    least, most = problem.joins
    if least > 1 or 1 < most < problem.num_groups:
        raise ValueError(
            f"The exact solver limits a task's number of groups for `gain` only. Found `min_joins = "
            f"{least}` and `max_joins = {most}` for `objective = {problem.objective}`. "
            f"Leave them at 1 and null, or set solver.partition=true."
        )
    slots_left = _slots(problem, 3 ** len(problem.matrix))
    chosen = best_cover(
        given,
        masks_of(members),
        allowed(problem, members),
        slots_left,
        tolerance=TIE * len(problem.matrix) * float(np.abs(given[members]).max()),
        partition=most == 1,
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


def _plan(
    problem: Problem,
    groups: Sequence[Sequence[int]],
    serves: Sequence[Sequence[int]],
    value: float,
    num_subsets: int,
) -> Plan:
    names = problem.tasks
    settings: dict[str, Any] = {"solver": "exact", "objective": problem.objective}
    if len(problem.slot_kinds()) > 1:
        settings["slots"] = problem.slots(groups)  # of which group's budget each is within
    return Plan(
        tuple(
            Group(tuple(names[t] for t in own), tuple(names[t] for t in served))
            for own, served in zip(groups, serves, strict=True)
        ),
        settings,
        objective=value,
        bound=value,
        status="optimal",
        proof=f"exhaustive: dynamic programming over {num_subsets} subsets",
    )


def _check_size(problem: Problem) -> None:
    n = len(problem.matrix)
    if n > MAX_TASKS:
        raise ValueError(
            f"The exact solver tries all subsets of at most {MAX_TASKS} tasks. Found {n} tasks. "
            f"Leave tasks out, or choose a solver for many tasks (mtlrun list solvers)."
        )


def _slots(problem: Problem, num_states: int) -> Slots:
    counts = [len(kind) for kind in problem.slot_kinds()]
    combinations = math.prod(count + 1 for count in counts)
    total = num_states * combinations * len(counts)
    if combinations > MAX_SLOTS or total > MAX_STATES:
        raise ValueError(
            f"The exact solver's tables hold at most {MAX_SLOTS} combinations of groups left and "
            f"{MAX_STATES} states. Found {combinations} and {total}: {len(problem.matrix)} tasks, "
            f"{problem.num_groups} groups, {len(counts)} different budgets. Set a smaller "
            f"solver.num_groups, or the same budget for every group."
        )
    return Slots(counts)


def _positions(group: Sequence[str], tasks: Sequence[str]) -> tuple[int, ...]:
    if isinstance(group, str) or not group or not set(group) <= set(tasks):
        raise ValueError(
            f"A candidate group should hold tasks out of {', '.join(tasks)}. Found {group!r}."
        )
    return tuple(sorted({tasks.index(task) for task in group}))
