"""Groups that count for all of their tasks: "gain", and partitions by any objective."""

import numpy as np

from mtlrun.solvers._items import Items, unique_groups
from mtlrun.solvers._lister import Form
from mtlrun.solvers._subsets import gains, scores, unit


class WholeGroups:
    """What a group is worth: x'Wx / (size - s), s = 0 for "gain" and 1 for the mean over others.

    Rewards r [N] for holding items make v_r(x) = x'Wx / (size - s) + r'x, and v_r(x) >= mu is one
    quadratic form for all sizes: x'Wx + (r'x - mu) (size - s) >= 0.

    Args:
        items: What groups are made of.
    """

    def __init__(self, items: Items) -> None:
        problem = items.problem
        self.items = items
        self.is_gain = problem.objective == "gain"
        self.less = 0.0 if self.is_gain else 1.0
        held = items.members.astype(np.float64)
        if self.is_gain:
            self.unit = unit(problem.matrix)
            matrix = problem.matrix / self.unit
            self.alone = np.zeros(len(items))
        else:
            n = len(problem.matrix)
            off = np.where(np.eye(n), 0.0, problem.matrix)
            diagonal = problem.objective == "hoa" or problem.singleton_score == "diagonal"
            self.unit = unit(problem.matrix if diagonal else off)
            matrix = (-off if problem.objective == "hoa" else off) / self.unit
            single = scores(problem, np.eye(n, dtype=bool)).max(1)
            self.alone = np.array([single[own][0] for own in items.members])
        matrix = held @ matrix @ held.T
        self.matrix = (matrix + matrix.T) / 2
        least, most = problem.joins
        self.num_rows = len(items)
        self.row_limits = (float(least), float(most))
        # Whether a group may be taken once only, and all slots are taken
        self.exactly = self.distinct = self.is_gain
        self.divisor = 1.0 if self.is_gain else float(len(problem.matrix))

    def columns(self, groups: np.ndarray, rewards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows [K, N] that groups [K, N] serve, and their values [K]."""
        tasks = self.items.tasks(groups)
        if self.is_gain:
            return groups, gains(self.items.problem, tasks)
        given = scores(self.items.problem, tasks)
        return groups, np.where(tasks, given, 0.0).sum(1)

    def worth(self, groups: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """[K] values of groups [K, N] with rewards [N]."""
        return np.asarray(self.columns(groups, rewards)[1] + groups @ rewards)

    def flipped(self, groups: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """[K, N] the worth of each group once an item is flipped; -inf for none."""
        x = groups.astype(np.float64)
        change = 1.0 - 2.0 * x
        inner = x @ self.matrix
        pairs = (inner * x).sum(1)[:, None] + 2.0 * change * inner + np.diag(self.matrix)
        size = (x @ self.items.sizes)[:, None] + change * self.items.sizes
        worth = pairs / np.maximum(size - self.less, 0.5)
        if self.less:
            left = x @ self.alone
            worth = np.where(size == 1, left[:, None] + change * self.alone, worth)
        worth += (x @ rewards)[:, None] + change * rewards
        return np.asarray(np.where(size > 0, worth, -np.inf))

    def swapped(self, partition: np.ndarray) -> np.ndarray:
        """[N, N] the worth of the group of i in a partition [m, N] with k for i."""
        x = partition.astype(np.float64)
        inner, sizes, own = x @ self.matrix, self.items.sizes, partition.argmax(0)
        diagonal = np.diag(self.matrix)
        pairs = (inner * x).sum(1)[own] - 2 * inner[own, np.arange(len(own))] + diagonal
        pairs = pairs[:, None] + 2 * inner[own] + diagonal - 2 * self.matrix
        size = (x @ sizes)[own][:, None] - sizes[:, None] + sizes
        worth = pairs / np.maximum(size - self.less, 0.5)
        return np.where(size == 1, self.alone, worth) if self.less else worth

    def scaled(self, rewards: np.ndarray) -> np.ndarray:
        """[N, N] B with the worth y'By / y'y of a group, y its items times the roots of their sizes ("gain")."""
        assert self.is_gain
        root = np.sqrt(self.items.sizes)
        return np.asarray(self._rewarded(rewards) / np.outer(root, root))

    def form(self, rewards: np.ndarray, threshold: float, kind: int) -> Form:
        """At least 0 for the groups whose worth reaches a threshold (and for some single tasks)."""
        sizes = self.items.sizes
        matrix = self._rewarded(rewards)
        linear = np.diag(matrix) - self.less * rewards - threshold * sizes
        np.fill_diagonal(matrix, 0.0)
        count = len(sizes)
        return Form(
            matrix,
            linear,
            threshold * self.less,
            [(a,) for a in range(count)],
            [np.array([[0.0], [1.0]])] * count,
            self.items.rows[kind],
            self.items.most[kind],
            self.items.apart,
        )

    def groups_of(self, vectors: np.ndarray) -> np.ndarray:
        """Groups [K, N] that a listing of the form holds."""
        return unique_groups(vectors)

    def _rewarded(self, rewards: np.ndarray) -> np.ndarray:
        """[N, N] W + (r s' + s r') / 2, the form of pairs whose groups are divided by their size s'x."""
        cross = np.outer(rewards, self.items.sizes) / 2
        return np.asarray(self.matrix + cross + cross.T)
