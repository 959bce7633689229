"""Groups that may overlap and serve a part of their tasks: covers by "best_group" and "hoa"."""

from itertools import product

import numpy as np

from mtlrun.solvers._items import Items, unique_groups
from mtlrun.solvers._lister import Form
from mtlrun.solvers._subsets import scores, unit

TOGETHER = 4  # tasks of an item decided in one stage


class ServedParts:
    """What a group is worth: the sum of what it gives the tasks that it serves, best chosen.

    With prices p [n] of the tasks, served ones y within the group x, the value
    sum_i y_i (score_i(x) - p_i) reaches mu where the form
    sum_i y_i sum_{u != i} x_u (M_ui - p_i) - mu (size - 1) is at least 0, size >= 2.

    Args:
        items: What groups are made of.
    """

    def __init__(self, items: Items) -> None:
        problem = items.problem
        self.items = items
        n = len(problem.matrix)
        off = np.where(np.eye(n), 0.0, problem.matrix)
        diagonal = problem.objective == "hoa" or problem.singleton_score == "diagonal"
        self.unit = unit(problem.matrix if diagonal else off)
        self.matrix = (-off if problem.objective == "hoa" else off) / self.unit
        self.alone = scores(problem, np.eye(n, dtype=bool)).max(1)
        self.by_item = items.members @ self.matrix  # [N, n] from an item's tasks to each other
        self.num_rows = n
        self.row_limits = (1.0, 1.0)
        self.exactly = self.distinct = False
        self.divisor = float(n)

    def most(self) -> np.ndarray:
        """[n] the most that any group gives each task."""
        others = np.where(np.eye(len(self.matrix), dtype=bool), -np.inf, self.matrix)
        return np.asarray(np.maximum(others.max(0), self.alone))

    def scores(self, groups: np.ndarray) -> np.ndarray:
        """[K, n] what groups [K, N] give their tasks; -inf for others."""
        return scores(self.items.problem, self.items.tasks(groups))

    def columns(self, groups: np.ndarray, rewards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The tasks [K, n] that groups [K, N] serve best at rewards [n], and their values [K]."""
        given = self.scores(groups)
        served = given + rewards > 0
        return served, np.where(served, given, 0.0).sum(1)

    def worth(self, groups: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """[K] values of groups [K, N] with rewards [n] for the tasks served."""
        return np.asarray(np.maximum(self.scores(groups) + rewards, 0.0).sum(1))

    def flipped(self, groups: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """[K, N] the worth of each group once an item is flipped; -inf for none."""
        x = groups.astype(np.float64)
        change = 1.0 - 2.0 * x
        size = (x @ self.items.sizes)[:, None] + change * self.items.sizes
        given = (x @ self.by_item)[:, None] + change[:, :, None] * self.by_item  # [K, N, n]
        given /= np.maximum(size - 1, 1)[:, :, None]
        given += rewards
        np.maximum(given, 0.0, out=given)
        held = self.items.tasks(groups)[:, None] != self.items.members
        worth = np.where(held, given, 0.0).sum(2)
        single = np.where(held, np.maximum(self.alone + rewards, 0.0), 0.0).sum(2)
        worth = np.where(size == 1, single, worth)
        return np.asarray(np.where(size > 0, worth, -np.inf))

    def form(self, rewards: np.ndarray, threshold: float, kind: int) -> Form:
        """At least 0 for groups of at least two tasks, with tasks served, that reach a threshold."""
        items = self.items
        count, n = len(items), len(self.matrix)
        # x comes first, then y
        matrix = np.zeros((count + n, count + n))
        cross = self.by_item + (items.sizes[:, None] - items.members) * rewards
        matrix[:count, count:] = cross / 2
        matrix[count:, :count] = cross.T / 2
        linear = np.concatenate([-threshold * items.sizes, np.zeros(n)])
        stages, patterns = [], []
        for a in range(count):
            own = np.flatnonzero(items.members[a])
            stages.append((a, *(count + own[:TOGETHER]).tolist()))
            served = list(product([0.0, 1.0], repeat=min(len(own), TOGETHER)))
            patterns.append(np.array([(0.0,) * (1 + len(served[0])), *((1.0, *y) for y in served)]))
            for t in own[TOGETHER:]:
                stages.append((count + int(t),))
                patterns.append(np.array([[0.0], [1.0]]))
        rows = [np.concatenate([row, np.zeros(n)]) for row in items.rows[kind]]
        rows.append(np.concatenate([-items.sizes, np.zeros(n)]))
        return Form(
            matrix,
            linear,
            threshold,
            stages,
            patterns,
            np.array(rows),
            np.append(items.most[kind], -2.0),
            items.apart,
            tuple((count + t, a) for a, t in np.argwhere(items.members).tolist()),
        )

    def groups_of(self, vectors: np.ndarray) -> np.ndarray:
        """Groups [K, N] that a listing of the form holds."""
        return unique_groups(vectors[:, : len(self.items)])
