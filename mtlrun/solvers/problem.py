"""A grouping problem: what is asked, the value of given groups, and whether they are allowed."""

import math
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from mtlrun.core.grouping import Objective
from mtlrun.solvers import _checks

Tasks = Collection[int]  # a group, by the positions of its tasks
Pairs = Sequence[tuple[Any, Any]]  # given as names or positions, kept as positions


@dataclass(frozen=True, eq=False)
class Problem:
    """Which groups are best. Everything is checked and brought into one form when it is made.

    Source: "gain" is Eq. 8 of Principled Task Grouping (arXiv:2402.15328); "best_group" and "hoa"
        are the searches of the notebooks published with Efficiently Identifying Task Groupings
        (arXiv:2109.04617).
    Differs: where a task alone is scored by its diagonal, "best_group" and "hoa" are one search
        up to the sign.

    A group's gain is the sum of the entries between its tasks, diagonal included, over its size.
    A task's score in a group is the mean of the entries from the group's other tasks to it.

    Attributes:
        matrix: [n, n]; row = source, column = target. Errors for "hoa".
        num_groups: m. "gain" takes exactly m distinct groups, the others at most m.
        objective: "gain" is the sum of the groups' gains, maximised; "best_group" the mean over
            tasks of the best score, maximised; "hoa" the mean of the least error, minimised.
        tasks: n names; numbers from 0 by default.
        min_size: Tasks of a group, at least.
        max_size: Tasks of a group, at most; None for all.
        partition: Whether a task is in one group only; else groups may overlap.
        budgets: [n] what a task costs in any group, or [n, m] in each. Kept as [n, m].
        capacities: One number, or [m]: the most that a group's tasks cost together. Kept as [m].
        diagonal: "zero" ignores the diagonal in "gain".
        singleton_score: Of a task alone in "best_group"; "hoa" always takes the diagonal.
        together: Pairs of tasks, by name or position: a group that holds one holds the other.
            Kept as positions, as is `apart`.
        apart: Pairs of tasks that no group holds both of.
        min_joins: Groups that a task is in, at least; more than 1 for "gain" only.
        max_joins: Groups that a task is in, at most; None for no limit; other than 1 for "gain" only.

    Raises:
        ValueError: If a value is bad or the limits contradict each other.
    """

    matrix: np.ndarray
    num_groups: int
    objective: Objective = "gain"
    tasks: Sequence[str] = ()
    min_size: int = 1
    max_size: int | None = None
    partition: bool = False
    budgets: np.ndarray | None = None
    capacities: np.ndarray | None = None
    diagonal: Literal["as_given", "zero"] = "as_given"
    singleton_score: float | Literal["diagonal"] = -1e6
    together: Pairs = ()
    apart: Pairs = ()
    min_joins: int = 1
    max_joins: int | None = None

    def __post_init__(self) -> None:
        matrix, tasks = _checks.square(self.matrix, self.tasks)
        m = _checks.integer("num_groups", self.num_groups)
        _checks.choice("objective", self.objective, get_args(Objective))
        _checks.choice("diagonal", self.diagonal, ("as_given", "zero"))
        _checks.singleton(self.singleton_score)
        for name in ("min_size", "max_size", "min_joins", "max_joins"):
            if getattr(self, name) is not None or name.startswith("min"):
                _checks.integer(name, getattr(self, name))
        if self.objective == "gain" and self.diagonal == "zero":
            matrix = np.where(np.eye(len(matrix), dtype=bool), 0.0, matrix)
        limits = _checks.limits(self.budgets, self.capacities, tasks, m)
        for name, value in (
            ("matrix", matrix),
            ("tasks", tasks),
            ("num_groups", m),
            ("budgets", limits and limits[0]),
            ("capacities", limits and limits[1]),
            ("together", _checks.pairs("together", self.together, tasks)),
            ("apart", _checks.pairs("apart", self.apart, tasks)),
        ):
            object.__setattr__(self, name, value)
        self._check_limits()
        self._warn_of_no_effect()

    @property
    def sizes(self) -> tuple[int, int]:
        """The least and the largest number of tasks of a group."""
        n = len(self.matrix)
        return self.min_size, n if self.max_size is None else min(self.max_size, n)

    @property
    def sign(self) -> float:
        """-1 where the objective is minimised, as the errors of "hoa", else 1."""
        return -1.0 if self.objective == "hoa" else 1.0

    @property
    def joins(self) -> tuple[int, int]:
        """The least and the largest number of groups that a task is in."""
        most = self.num_groups if self.max_joins is None else min(self.max_joins, self.num_groups)
        return self.min_joins, 1 if self.partition else most

    def score(self, group: Tasks, task: int) -> float:
        """What a group gives one of its tasks ("best_group", "hoa")."""
        others = [source for source in group if source != task]
        if others:
            return math.fsum(self.matrix[source, task] for source in others) / len(others)
        if self.objective == "hoa" or self.singleton_score == "diagonal":
            return float(self.matrix[task, task])
        return float(self.singleton_score)

    def served(self, groups: Sequence[Tasks]) -> list[list[int]]:
        """For each group the tasks it serves: its own for "gain", else each task its best group's.

        A task goes to the first of equally good groups.
        """
        if self.objective == "gain":
            return [sorted(group) for group in groups]
        serves: list[list[int]] = [[] for _ in groups]
        sign = self.sign
        for task in range(len(self.matrix)):
            own = [j for j, group in enumerate(groups) if task in group]
            serves[max(own, key=lambda j: sign * self.score(groups[j], task))].append(task)
        return serves

    def value(self, groups: Sequence[Tasks]) -> float:
        """The objective of groups that cover all tasks."""
        if self.objective == "gain":
            return math.fsum(
                math.fsum(self.matrix[i, k] for i in group for k in group) / len(group)
                for group in groups
            )
        pairs = zip(groups, self.served(groups), strict=True)
        scores = [self.score(group, task) for group, serves in pairs for task in serves]
        return math.fsum(scores) / len(scores)

    def affordable(self, members: np.ndarray, slot: int) -> np.ndarray:
        """[C] whether groups, rows of members [C, n], are within a group's capacity (to 1e-9)."""
        if self.budgets is None or self.capacities is None:
            return np.ones(len(members), dtype=bool)
        held, costs = members.astype(np.float64), self.budgets[:, slot]
        slack = 1e-9 * (held @ np.abs(costs))
        return np.asarray(held @ costs <= self.capacities[slot] + slack)

    def slot_kinds(self) -> list[list[int]]:
        """The m groups' positions, those with equal budgets and capacities together."""
        if self.budgets is None or self.capacities is None:
            return [list(range(self.num_groups))]
        kinds: dict[bytes, list[int]] = {}
        for slot, column in enumerate(np.vstack([self.budgets, self.capacities]).T + 0.0):
            kinds.setdefault(column.tobytes(), []).append(slot)
        return list(kinds.values())

    def slots(self, groups: Sequence[Tasks]) -> list[int] | None:
        """For each group the budget (0 to m - 1) that it is within, all distinct; None if none fit."""
        members = np.array([[t in group for t in range(len(self.matrix))] for group in groups])
        fits = np.array([self.affordable(members, slot) for slot in range(self.num_groups)])
        holder: dict[int, int] = {}

        def place(group: int, tried: set[int]) -> bool:
            for slot in range(self.num_groups):
                if fits[slot, group] and slot not in tried:
                    tried.add(slot)
                    if slot not in holder or place(holder[slot], tried):
                        holder[slot] = group
                        return True
            return False

        if not all(place(group, set()) for group in range(len(groups))):
            return None
        return [slot for _, slot in sorted((group, slot) for slot, group in holder.items())]

    def violation(self, groups: Sequence[Tasks]) -> str | None:
        """What limit the groups break, in words; None if they are allowed."""
        sets = [frozenset(group) for group in groups]
        least, most = self.joins
        exactly = self.objective == "gain"
        if not 1 <= len(sets) <= self.num_groups or (exactly and len(sets) < self.num_groups):
            return f"{len(sets)} groups, not {'' if exactly else 'at most '}{self.num_groups}"
        if len(set(sets)) < len(sets):
            return "two equal groups"
        for reason in map(self._group_violation, sets):
            if reason is not None:
                return reason
        for t, name in enumerate(self.tasks):
            joined = sum(t in group for group in sets)
            if not least <= joined <= most:
                return f"task `{name}` in {joined} groups, not {least} to {most}"
        return None if self.slots(groups) is not None else "groups that are not within the budgets"

    def _group_violation(self, group: frozenset[int]) -> str | None:
        names = ", ".join(self.tasks[t] for t in sorted(group))
        few, many = self.sizes
        if not few <= len(group) <= many:
            return f"{len(group)} tasks in a group ({names}), not {few} to {many}"
        for a, b in self.together:
            if (a in group) != (b in group):
                return f"`{self.tasks[a]}` and `{self.tasks[b]}` not together in ({names})"
        for a, b in self.apart:
            if a in group and b in group:
                return f"`{self.tasks[a]}` and `{self.tasks[b]}` not apart in ({names})"
        return None

    def _check_limits(self) -> None:
        n, m = len(self.matrix), self.num_groups
        few, many = self.sizes
        least, most = self.joins
        if few > many:
            raise ValueError(
                f"`min_size` should be at most `max_size` and the number of tasks ({n}). Found "
                f"`min_size = {few}` and `max_size = {self.max_size}`. Set solver.min_size."
            )
        if self.partition and max(least, self.max_joins or 1) > 1:
            raise ValueError(
                f"A partition puts a task into one group: `min_joins` and `max_joins` should be 1. "
                f"Found `min_joins = {least}` and `max_joins = {self.max_joins}`. "
                f"Set solver.partition=false."
            )
        existing = sum(math.comb(n, size) for size in range(few, many + 1))
        if self.partition or self.max_joins is not None:
            existing = min(existing, n * (self.max_joins or 1) // few)
        self.check_existing(existing)
        if self.objective != "gain" and (least > 1 or 1 < most < m):
            raise ValueError(
                f"A task's number of groups is limited for `gain` only. Found `min_joins = {least}` "
                f"and `max_joins = {self.max_joins}` for `objective = {self.objective}`. "
                f"Leave them at 1 and null, or set solver.partition=true."
            )
        if least > most:
            raise ValueError(
                f"`min_joins` should be at most `max_joins` and `num_groups` ({m}). Found "
                f"`min_joins = {least}` and `max_joins = {self.max_joins}`. Set solver.min_joins."
            )
        if m * many < n * least:
            raise ValueError(
                f"`num_groups` times `max_size` should be at least {n * least}: the groups cannot "
                f"cover the {n} tasks. Found `num_groups = {m}` and `max_size = {many}`. "
                f"Set solver.num_groups or solver.max_size."
            )
        for a, b in set(self.together) & set(self.apart):
            raise ValueError(
                f"A pair should be in `together` or in `apart`. "
                f"Found `{self.tasks[a]}` and `{self.tasks[b]}` in both."
            )

    def check_existing(self, existing: int) -> None:
        """Raises ValueError where more groups are asked for than the limits allow to exist."""
        if self.num_groups > existing:
            raise ValueError(
                f"`num_groups` should be between 1 and {existing}, the number of distinct groups of "
                f"{len(self.matrix)} tasks that the limits allow. "
                f"Found `num_groups = {self.num_groups}`. Set solver.num_groups."
            )

    def _warn_of_no_effect(self) -> None:
        if self.objective != "gain" and self.diagonal != "as_given":
            warnings.warn(
                f'`diagonal = "zero"` has no effect on `objective = "{self.objective}"`.',
                stacklevel=4,
            )
        if self.objective != "best_group" and self.singleton_score != -1e6:
            warnings.warn(
                f'`singleton_score` has no effect on `objective = "{self.objective}"`.',
                stacklevel=4,
            )
