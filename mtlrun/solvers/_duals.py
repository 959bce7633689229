"""Bounds of a quadratic form over 0/1 vectors by multipliers, fitted to many nodes of a search at once.

Let g_1(v), g_2(v), ... be at least 0 for the 0/1 vectors v that count: v_i - v_i^2 (which is 0, so its
multiplier may be negative), the slack of a linear limit, or a product of v_i, v_j, 1 - v_i, 1 - v_j.
Then v'Av + c'v is at most the maximum over all real v of v'Av + c'v + sum of multipliers times g(v).
This is e'M^-1 e / 4 plus constants, where the sum is e'v - v'Mv plus constants and M is positive
definite. It is convex in the multipliers; its gradient is g at the maximum v = M^-1 e / 2.
"""

from dataclasses import dataclass

import numpy as np

STEPS = 30
HIGHEST = 1e3  # multiplier; beyond it no vector is within the limits
SPREAD = 1e-3  # of linear terms beside those of the sample, relative: keeps M well conditioned


@dataclass(frozen=True)
class Cuts:
    """Functions s v_i v_j + a v_i + b v_j + k of two variables each, at least 0 for all vectors.

    Attributes:
        i: [Q] the first variables.
        j: [Q] the second ones.
        s: [Q] 1 or -1, as are the others in Q.
        a: [Q] -1, 0 or 1.
        b: [Q] -1, 0 or 1.
        k: [Q] 0 or 1.
        free: [Q] whether it is 0 for all vectors, so that its multiplier may be negative.
    """

    i: np.ndarray
    j: np.ndarray
    s: np.ndarray
    a: np.ndarray
    b: np.ndarray
    k: np.ndarray
    free: np.ndarray

    @classmethod
    def of(cls, rows: list[tuple[int, int, int, int, int, int, bool]]) -> "Cuts":
        """One for each row (i, j, s, a, b, k, free)."""
        table = np.array(rows, dtype=np.float64).reshape(-1, 7).T
        i, j = table[:2].astype(np.intp)
        s, a, b, k = table[2:6]
        return cls(i, j, s, a, b, k, table[6] > 0)

    def take(self, index: np.ndarray) -> "Cuts":
        """Some of them."""
        return Cuts(
            *(getattr(self, name)[index] for name in ("i", "j", "s", "a", "b", "k", "free"))
        )

    def join(self, other: "Cuts") -> "Cuts":
        """These and others."""
        names = ("i", "j", "s", "a", "b", "k", "free")
        return Cuts(*(np.concatenate([getattr(self, n), getattr(other, n)]) for n in names))

    def __len__(self) -> int:
        return len(self.i)


@dataclass(frozen=True)
class Terms:
    """What the bound is of, at K nodes with R variables left.

    Attributes:
        matrix: [R, R] A, symmetric, its diagonal empty.
        linear: [K, R] c.
        rows: [L, R] of the linear limits.
        slack: [K, L] what is left of each limit.
        cuts: Further functions.
        weights: [K] of the nodes, summing to 1.
    """

    matrix: np.ndarray
    linear: np.ndarray
    rows: np.ndarray
    slack: np.ndarray
    cuts: Cuts
    weights: np.ndarray


@dataclass(frozen=True)
class Multipliers:
    """Of one level of a search.

    Attributes:
        d: [R] of v_i - v_i^2.
        theta: [L] of the limits.
        cut: [Q] of the cuts.
        inverse: [R, R] M^-1.
        shift: [R] e - c.
        constant: What the cuts add.
    """

    d: np.ndarray
    theta: np.ndarray
    cut: np.ndarray
    inverse: np.ndarray
    shift: np.ndarray
    constant: float


def multipliers(
    terms: Terms, d: np.ndarray, theta: np.ndarray, cut: np.ndarray
) -> Multipliers | None:
    """With the inverse of M; None where M is not positive definite."""
    cuts = terms.cuts
    matrix = np.diag(d) - terms.matrix
    half = cut * cuts.s / 2
    np.subtract.at(matrix, (cuts.i, cuts.j), half)
    np.subtract.at(matrix, (cuts.j, cuts.i), half)
    try:
        np.linalg.cholesky(matrix)
        inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError:
        return None
    shift = d - theta @ terms.rows
    np.add.at(shift, cuts.i, cut * cuts.a)
    np.add.at(shift, cuts.j, cut * cuts.b)
    return Multipliers(d, theta, cut, (inverse + inverse.T) / 2, shift, float(cut @ cuts.k))


def starting(terms: Terms) -> Multipliers:
    """Some for which M is positive definite."""
    values = np.linalg.eigvalsh(terms.matrix)
    d = np.full(len(terms.matrix), values[-1] + 0.05 * (values[-1] - values[0]) + 1e-6)
    found = multipliers(terms, d, np.zeros(len(terms.rows)), np.zeros(len(terms.cuts)))
    assert found is not None
    return found


def bounds(terms: Terms, own: Multipliers) -> tuple[np.ndarray, np.ndarray]:
    """[K] the bounds of the nodes, and [K, R] where they are reached."""
    e = terms.linear + own.shift
    v = e @ own.inverse / 2
    return (e * v).sum(1) / 2 + terms.slack @ own.theta + own.constant, v


def violated(terms: Terms, own: Multipliers, most: int) -> Cuts:
    """Products of two variables, or of one and what another lacks to 1, furthest below 0 in the mean."""
    v = bounds(terms, own)[1]
    mean = terms.weights @ v
    moment = (v * terms.weights[:, None]).T @ v
    upper = np.triu(np.ones(moment.shape, dtype=bool), 1)
    used = np.zeros((3, *moment.shape), dtype=bool)
    cuts = terms.cuts
    kind = np.where(cuts.s > 0, np.where(cuts.k > 0, 2, 0), 1)
    used[kind, cuts.i, cuts.j] = True
    means = np.array(
        [
            np.where(upper, moment, 0.0),
            np.where(np.eye(len(mean), dtype=bool), 0.0, mean[:, None] - moment),
            np.where(upper, 1 - mean[:, None] - mean + moment, 0.0),
        ]
    )
    means[used] = 0.0
    order = np.argsort(means, axis=None)[: max(most, 0)]
    rows = []
    for kind, i, j in zip(*np.unravel_index(order, means.shape), strict=True):
        if means[kind, i, j] < -1e-3:
            s, a, b, k = ((1, 0, 0, 0), (-1, 1, 0, 0), (1, -1, -1, 1))[kind]
            rows.append((int(i), int(j), s, a, b, k, False))
    return Cuts.of(rows)


def fit(terms: Terms, start: Multipliers, steps: int = STEPS) -> Multipliers:
    """Multipliers whose bound is least in the mean over nodes, by Newton's method."""
    size, limits, cuts = len(terms.matrix), len(terms.rows), terms.cuts
    weights = terms.weights
    extra = SPREAD * (
        float((weights @ terms.linear**2).mean()) + float((terms.matrix**2).sum(1).mean()) + 1e-30
    )

    def value(own: Multipliers) -> float:
        return float(weights @ bounds(terms, own)[0]) + extra * float(np.trace(own.inverse)) / 4

    own, best, damping = start, value(start), 1e-6
    for _ in range(steps):
        v = bounds(terms, own)[1]
        mean = weights @ v
        around = extra * own.inverse @ own.inverse / 4  # moments of v beyond those of the sample
        moment = (v * weights[:, None]).T @ v + around
        slope = np.concatenate(
            [
                mean - np.diag(moment),
                weights @ terms.slack - terms.rows @ mean,
                cuts.s * moment[cuts.i, cuts.j]
                + cuts.a * mean[cuts.i]
                + cuts.b * mean[cuts.j]
                + cuts.k,
            ]
        )
        signed = np.concatenate([np.zeros(size, bool), np.ones(limits, bool), ~cuts.free])
        at = np.concatenate([own.d, own.theta, own.cut])
        active = ~(signed & (at <= 0) & (slope >= 0))
        hessian = _hessian(terms, own.inverse, v, around) / 2
        hessian = hessian[np.ix_(active, active)]
        diagonal = np.diag(hessian) + 1e-12 * float(np.trace(hessian))
        new = None
        while damping < 1e8:
            matrix = hessian.copy()
            matrix[np.diag_indices_from(matrix)] += damping * diagonal
            step = np.zeros(len(at))
            try:
                step[active] = -np.linalg.solve(matrix, slope[active])
            except np.linalg.LinAlgError:
                damping *= 8
                continue
            decrease = -float(slope @ step)
            if decrease < 1e-4 * abs(best) + 1e-12:
                return own
            to = at + step
            to[signed] = np.clip(to[signed], 0.0, HIGHEST)
            new = multipliers(terms, to[:size], to[size : size + limits], to[size + limits :])
            if new is not None and value(new) < best - 1e-3 * decrease:
                break
            new = None
            damping *= 8
        if new is None:
            return own
        own, best, damping = new, value(new), damping / 30
    return own


def _hessian(terms: Terms, inverse: np.ndarray, v: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Mean over nodes of J M^-1 J', J the slopes of all functions at v [K, R].

    They are 1 - 2 v_i for d, minus the row for a limit, alpha at i and beta at j for a cut.
    """
    cuts, rows, weights = terms.cuts, terms.rows, terms.weights
    q = 1.0 - 2.0 * v
    alpha, beta = cuts.s * v[:, cuts.j] + cuts.a, cuts.s * v[:, cuts.i] + cuts.b
    weighted = q * weights[:, None]
    spread = rows @ inverse
    blocks = inverse * (weighted.T @ q + 4 * around)
    limit = -spread * (weights @ q)
    corner = spread @ rows.T
    if not len(cuts):
        return np.block([[blocks, limit.T], [limit, corner]]) if len(rows) else blocks
    i, j = cuts.i, cuts.j
    own = (alpha * weights[:, None]).T @ q * inverse[i] + (beta * weights[:, None]).T @ q * inverse[
        j
    ]
    linear = -(
        (weights @ alpha)[:, None] * spread[:, i].T + (weights @ beta)[:, None] * spread[:, j].T
    )
    a, b = alpha * weights[:, None], beta * weights[:, None]
    pair = (
        a.T @ alpha * inverse[np.ix_(i, i)]
        + a.T @ beta * inverse[np.ix_(i, j)]
        + b.T @ alpha * inverse[np.ix_(j, i)]
        + b.T @ beta * inverse[np.ix_(j, j)]
    )
    return np.block([[blocks, limit.T, own.T], [limit, corner, linear.T], [own, linear, pair]])
