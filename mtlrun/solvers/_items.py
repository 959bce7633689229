"""Tasks that only go together as one item, and the limits on groups of items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtlrun.solvers._subsets import allowed
from mtlrun.solvers.problem import Problem


@dataclass(frozen=True, eq=False)
class Items:
    """What groups are made of: N items, each one task or several that must be together.

    Attributes:
        problem: Whose tasks these are.
        members: [N, n] bool, the tasks of each item.
        sizes: [N] how many they are.
        apart: Pairs of items that no group holds both of.
        kinds: The m groups' positions, those with equal budgets together.
        rows: For each kind [L, N]: of the linear limits rows @ x <= most.
        most: For each kind [L].
    """

    problem: Problem
    members: np.ndarray
    sizes: np.ndarray
    apart: tuple[tuple[int, int], ...]
    kinds: list[list[int]]
    rows: list[np.ndarray]
    most: list[np.ndarray]

    @classmethod
    def of(cls, problem: Problem) -> "Items":
        """Those of a problem.

        Raises:
            ValueError: If no group may hold some task, for tasks that go together are apart.
        """
        n = len(problem.matrix)
        item = _components(n, problem.together)
        members = np.array([[item[t] == a for t in range(n)] for a in range(max(item) + 1)])
        sizes = members.sum(1).astype(np.float64)
        apart = set()
        for a, b in problem.apart:
            if item[a] == item[b]:
                raise ValueError(
                    f"Tasks that are in one group by `together` should not be in `apart`. Found "
                    f"`{problem.tasks[a]}` and `{problem.tasks[b]}`. Loosen one of the limits."
                )
            apart.add((min(item[a], item[b]), max(item[a], item[b])))
        kinds = problem.slot_kinds()
        few, many = problem.sizes
        rows, most = [], []
        for slots in kinds:
            limits = [(sizes, float(many))] if many < n else []
            limits.append((-sizes, -float(few)))
            if problem.budgets is not None and problem.capacities is not None:
                costs = problem.budgets[:, slots[0]]
                capacity = float(problem.capacities[slots[0]])
                if np.isfinite(capacity):
                    slack = 1e-9 * float(np.abs(costs).sum())
                    limits.append((members @ costs, capacity + slack))
            rows.append(np.array([row for row, _ in limits], dtype=np.float64))
            most.append(np.array([limit for _, limit in limits]))
        return cls(problem, members, sizes, tuple(sorted(apart)), kinds, rows, most)

    def __len__(self) -> int:
        return len(self.sizes)

    def tasks(self, groups: np.ndarray) -> np.ndarray:
        """[K, n] bool, the tasks of groups [K, N] of items."""
        return np.asarray(groups[:, self.members.argmax(0)])

    def fits(self, groups: np.ndarray) -> np.ndarray:
        """[kinds, K] whether groups [K, N] of items keep all limits of a kind of slot."""
        return allowed(self.problem, self.tasks(groups))

    def common_limits(self) -> tuple[np.ndarray, np.ndarray]:
        """[L, N] rows and [L] of the linear limits that groups keep in slots of all kinds."""
        first, *others = (
            [(row, float(most)) for row, most in zip(*kind, strict=True)]
            for kind in zip(self.rows, self.most, strict=True)
        )
        kept = []
        for row, most in first:
            same = [[limit for r, limit in kind if np.array_equal(row, r)] for kind in others]
            if all(same):
                kept.append((row, max([most, *(min(limits) for limits in same)])))
        rows = np.array([row for row, _ in kept]).reshape(-1, len(self))
        return rows, np.array([most for _, most in kept])

    def flips(self, groups: np.ndarray, kind: int) -> np.ndarray:
        """[K, N] by how much a group breaks the limits of a kind after an item is flipped."""
        x = groups.astype(np.float64)
        change = 1.0 - 2.0 * x
        broken = np.zeros(x.shape)
        for row, most in zip(self.rows[kind], self.most[kind], strict=True):
            scale = float(np.abs(row).max()) or 1.0
            broken += np.maximum((x @ row)[:, None] + change * row - most, 0.0) / scale
        if self.apart:
            conflict = np.zeros((len(self), len(self)))
            for a, b in self.apart:
                conflict[a, b] = conflict[b, a] = 1.0
            met = x @ conflict
            broken += ((met * x).sum(1) / 2)[:, None] + change * met
        return broken


def unique_groups(groups: np.ndarray) -> np.ndarray:
    """Distinct rows of groups [K, N], the first of equal ones, in their order."""
    if not len(groups):
        return groups
    keys = keys_of(groups)
    _, first = np.unique(keys, return_index=True)
    return np.asarray(groups[np.sort(first)])


def keys_of(groups: np.ndarray) -> np.ndarray:
    """[K] bytes that are equal where rows of groups [K, N] are."""
    packed = np.ascontiguousarray(np.packbits(groups, axis=1))
    return packed.view(np.dtype((np.void, packed.shape[1]))).ravel()


def _components(size: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """For each task the item that it is part of; items are numbered by their first task."""
    root = list(range(size))
    for _ in range(size):
        for a, b in pairs:
            root[a] = root[b] = min(root[a], root[b])
    names = sorted(set(root))
    return [names.index(r) for r in root]
