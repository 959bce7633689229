"""A bound of all choices at once, by a semidefinite program over sums of groups.

A group x of items with sizes s gives the matrix X = xx' / s'x. It is positive semidefinite, s_1 X_11 +
s_2 X_22 + ... = 1, X s = x, and its entries keep what products of 0/1 variables keep: 0 <= X_ij <= X_ii
and X_ki + X_kj - X_ij <= X_kk. The group is worth <W, X> + r'x. Whatever the multipliers of at least 0
of all these are, no group is worth more than the largest eigenvalue of W, rewards and multipliers
together. So every step of the search for the best ones gives a bound.
Source: the relaxation of Peng and Wei, SIAM J. Optim. 18 (2007), for partitions; the inequalities of
    Padberg, Math. Programming 45 (1989), for products of 0/1 variables.
"""

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

from mtlrun.solvers._clock import Clock

SMOOTHINGS = (0.05, 0.02, 0.01, 0.005, 0.003, 0.002, 0.0015, 0.001)  # in units of the largest entry
ITERATIONS = 200  # with one smoothing
REMEMBERED = 20  # steps, by the quasi-Newton method
TRIANGLES = 5_000  # added with each smoothing, at most
VIOLATED = 0.01  # by how much of the mean diagonal a triangle must be
PRECISE = 1e-5  # of the bound, by which a smoothing must lower it
ENOUGH = 0.03  # of its gap, likewise
MARGIN = 1e-9
EPS = float(np.finfo(np.float64).eps)
LEAST_TIME = 1.0  # seconds, without which it is not begun


class _TimeUpError(Exception):
    """The clock is over."""


class Relaxation:
    """The semidefinite relaxation of the choice of m groups.

    Args:
        matrix: [N, N] W, symmetric, in units of its largest entry.
        sizes: [N] of the items.
        count: m.
        least: How often each item must be in a group.
        once: Whether each item must be in one group only: rewards may be negative.
        disjoint: Whether, in such a case, the sum of m eigenvalues takes the place of m times the
            largest. The bound is lower, but its rewards are not those that price one group well.
        rows: [L, N] of limits rows @ x <= most that every group keeps.
        most: [L].
        apart: Pairs of items that no group holds both of.

    Attributes:
        rewards: [N] of the items, where the bound was lowest.
    """

    def __init__(
        self,
        matrix: np.ndarray,
        sizes: np.ndarray,
        count: int,
        *,
        least: float,
        once: bool,
        disjoint: bool,
        rows: np.ndarray,
        most: np.ndarray,
        apart: tuple[tuple[int, int], ...] = (),
    ) -> None:
        size = len(matrix)
        self._matrix, self._sizes, self._count = matrix, sizes, count
        self._least, self._disjoint = least, disjoint
        self._rows, self._most = rows, most
        self._root = 1 / np.sqrt(sizes)
        self._upper = np.triu_indices(size, 1)
        self._off = ~np.eye(size, dtype=bool)
        self._triangles = np.zeros((0, 3), dtype=np.intp)  # i, j, k: X_ki + X_kj - X_ij <= X_kk
        pairs = len(self._upper[0])
        ends = np.cumsum([size, pairs, size * (size - 1), rows.size])
        self._ends = ends
        self._values = np.zeros(ends[-1])
        self._low = np.zeros(ends[-1])
        if once:
            self._low[:size] = -np.inf
        never = np.zeros((size, size), dtype=bool)
        for a, b in apart:
            never[a, b] = never[b, a] = True
        self._low[size + np.flatnonzero(never[self._upper])] = -np.inf  # X_ij = 0
        self._bound = np.inf
        self.rewards = np.zeros(size)

    def bound(self, rewards: np.ndarray, clock: Clock, *, value: float | None = None) -> float:
        """What no choice is worth more than, the least that is found in time.

        Args:
            rewards: [N] for items, to start from.
            clock: When to stop.
            value: Of a choice. It is given up where the gap to it hardly falls any more.
        """
        if clock.left < LEAST_TIME:
            return np.inf
        size = len(self._matrix)
        self._values[:size] = np.maximum(rewards, self._low[:size])
        try:
            for smoothing in SMOOTHINGS:
                before = self._bound
                solution = self._descend(smoothing, clock)
                gap = 0.0 if value is None else self._bound - value
                if before - self._bound < max(PRECISE * abs(self._bound), ENOUGH * gap):
                    break
                self._separate(solution, clock)
        except _TimeUpError:
            pass
        return self._bound

    def _descend(self, smoothing: float, clock: Clock) -> np.ndarray:
        """Better multipliers; the sum of all X that belongs to them."""
        from scipy.optimize import minimize  # it takes a while, and is seldom wanted

        solution = np.zeros(0)

        def value(values: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal solution
            if clock.over:
                raise _TimeUpError
            smooth, solution = self._value(values, smoothing)
            return smooth, self._slope(solution)

        most = {"maxiter": ITERATIONS, "maxcor": REMEMBERED, "maxfun": ITERATIONS * 5 // 4}
        limits = np.column_stack([self._low, np.full(len(self._low), np.inf)])
        with threadpool_limits(1, "blas"):  # scipy brings a library of its own
            found = minimize(
                value, self._values, jac=True, method="L-BFGS-B", bounds=limits, options=most
            )
        self._values = found.x
        return solution

    def _value(self, values: np.ndarray, smoothing: float) -> tuple[float, np.ndarray]:
        """The smoothed bound and X; the bound itself is kept if it is the lowest."""
        size, count = len(self._matrix), self._count
        scaled = self._combined(values) * np.outer(self._root, self._root)
        eigenvalues, vectors = np.linalg.eigh(scaled)
        rewards = values[:size]
        cost = self._least * float(rewards.sum())
        largest = eigenvalues[-count:].sum() if self._disjoint else count * eigenvalues[-1]
        rounding = EPS * (8 * size * count * float(np.abs(eigenvalues).max()) + abs(cost))
        bound = float(largest) - cost + MARGIN * count + rounding
        if bound < self._bound:
            self._bound, self.rewards = bound, rewards.copy()
        if self._disjoint:
            weights, smooth = _filled(eigenvalues, count, smoothing)
        else:
            relative = np.exp((eigenvalues - eigenvalues[-1]) / smoothing)
            weights = count * relative / relative.sum()
            smooth = count * float(eigenvalues[-1] + smoothing * np.log(relative.sum()))
        solution = (vectors * weights) @ vectors.T * np.outer(self._root, self._root)
        return smooth - cost, solution

    def _combined(self, values: np.ndarray) -> np.ndarray:
        """[N, N] W with rewards and all multipliers."""
        size = len(self._matrix)
        rewards, pairs, parts, limits, triangles = np.split(values, self._ends)
        # X s = x: what counts for x, of row i of X
        rows = np.outer(rewards, self._sizes)
        for own, row in zip(limits.reshape(-1, size), self._rows, strict=True):
            rows -= np.outer(own, row)
        upper = np.zeros((size, size))
        upper[self._upper] = pairs
        within = np.zeros((size, size))
        within[self._off] = parts
        i, j, k = self._triangles.T
        np.add.at(upper, (i, j), triangles)
        np.subtract.at(upper, (k, i), triangles)
        np.subtract.at(upper, (k, j), triangles)
        diagonal = within.sum(1) + self._most @ limits.reshape(-1, size)
        np.add.at(diagonal, k, triangles)
        sides = rows + upper - within
        combined = self._matrix + (sides + sides.T) / 2
        combined[np.diag_indices(size)] += diagonal
        return combined

    def _slope(self, solution: np.ndarray) -> np.ndarray:
        """Of the smoothed bound, by the multipliers."""
        held, diagonal = solution @ self._sizes, np.diag(solution)
        i, j, k = self._triangles.T
        return np.concatenate(
            [
                held - self._least,
                solution[self._upper],
                (diagonal[:, None] - solution)[self._off],
                (np.outer(self._most, diagonal) - self._rows @ solution).ravel(),
                diagonal[k] - solution[k, i] - solution[k, j] + solution[i, j],
            ]
        )

    def _separate(self, solution: np.ndarray, clock: Clock) -> None:
        """Keeps the triangles that have a multiplier, and adds those that a solution violates most."""
        used = self._values[self._ends[-1] :] > 1e-9
        kept, values = self._triangles[used], self._values[self._ends[-1] :][used]
        least = VIOLATED * float(np.diag(solution).mean())
        found, by = [], []
        few = max(TRIANGLES // 10, 1)  # of one k, at most
        for k, row in enumerate(solution):
            if clock.over:
                raise _TimeUpError
            slack = row[k] - row[:, None] - row + solution
            slack[k] = slack[:, k] = 0.0
            i, j = np.nonzero(np.triu(slack, 1) < -least)
            worst = np.argsort(slack[i, j], kind="stable")[:few]
            i, j = i[worst], j[worst]
            found.append(np.column_stack([i, j, np.full(len(i), k)]))
            by.append(slack[i, j])
        order = np.argsort(np.concatenate(by), kind="stable")[:TRIANGLES]
        new = np.concatenate(found)[order]
        known = set(map(tuple, kept.tolist()))
        new = new[[tuple(row) not in known for row in new.tolist()]].reshape(-1, 3)
        self._triangles = np.concatenate([kept, new])
        self._values = np.concatenate([self._values[: self._ends[-1]], values, np.zeros(len(new))])
        self._low = np.concatenate([self._low[: self._ends[-1]], np.zeros(len(self._triangles))])


def _filled(eigenvalues: np.ndarray, count: int, smoothing: float) -> tuple[np.ndarray, float]:
    """Weights in 0..1 that sum to a count, the most on the largest, and the smoothed sum of these."""
    low, high = float(eigenvalues[0]) - 50 * smoothing, float(eigenvalues[-1]) + 50 * smoothing
    for _ in range(60):
        level = (low + high) / 2
        weights = _sigmoid((eigenvalues - level) / smoothing)
        low, high = (level, high) if weights.sum() > count else (low, level)
    above = np.logaddexp(0.0, (eigenvalues - level) / smoothing)
    return weights, count * level + smoothing * float(above.sum())


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))
