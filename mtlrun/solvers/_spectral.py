"""Bounds by eigenvalues, made small by alternating directions; every step's multipliers give a bound."""

import numpy as np

from mtlrun.solvers._clock import Clock

STEPS = 600
CHECK_EVERY = 20


def copositive_bound(matrix: np.ndarray, clock: Clock) -> tuple[float, np.ndarray]:
    """No x >= 0 other than 0 has x'Bx above this many x'x; and the N [N, N] that proves it.

    By alternating directions on max <B, X>, X positive semidefinite of trace 1, X >= 0. Whatever
    N >= 0 this arrives at, the bound holds.

    Args:
        matrix: [N, N] B, symmetric.
        clock: When to stop.
    """
    size = len(matrix)
    best = np.zeros_like(matrix)
    bound = float(np.linalg.eigvalsh(matrix)[-1])
    scale = float(np.abs(matrix).max()) or 1.0
    step = 1.0 / scale / size  # of X against the multipliers, whose sizes are 1 / n and about scale
    z, u = np.full((size, size), 1.0 / size), np.zeros((size, size))
    for count in range(1, STEPS + 1):
        if clock.over:
            break
        values, vectors = np.linalg.eigh(z - u + step * matrix)
        x = (vectors * _on_simplex(values)) @ vectors.T
        u += x
        z = np.maximum(u, 0.0)
        u -= z  # at most 0: -u / step is the multiplier of X >= 0
        if count % CHECK_EVERY == 0:
            n = -u / step
            np.fill_diagonal(n, 0.0)
            top = float(np.linalg.eigvalsh(matrix + n)[-1])
            improved = bound - top
            if improved > 0:
                bound, best = top, n
            if count > 5 * CHECK_EVERY and abs(improved) < 1e-4 * scale:
                break
    return bound, best


def partition_bound(matrix: np.ndarray, num_groups: int, sizes: np.ndarray, clock: Clock) -> float:
    """No partition into groups x_1, ..., x_m has a sum of x_j'Bx_j / x_j'sizes above this.

    With B scaled to y'By / y'y, Z = sum of y_j y_j' / y_j'y_j is a projection of rank m that keeps
    the vector of roots of sizes u, and Z >= 0. So for N >= 0 the sum is at most
    u'(B + N)u / u'u plus the m - 1 largest eigenvalues of B + N across u.
    Source: the relaxation of Peng and Wei, SIAM J. Optim. 18 (2007), for sums of squares.

    Args:
        matrix: [N, N] B, symmetric.
        num_groups: m.
        sizes: [N] of the items.
        clock: When to stop.
    """
    size, rank = len(matrix), num_groups - 1
    scaled = matrix / np.sqrt(np.outer(sizes, sizes))
    along = np.sqrt(sizes / sizes.sum())[:, None]
    across = np.linalg.qr(np.hstack([along, np.eye(size)[:, : size - 1]]))[0][:, 1:]
    fixed = along @ along.T

    def bound(n: np.ndarray) -> float:
        both = scaled + n
        values = np.linalg.eigvalsh(across.T @ both @ across)[::-1]
        return float((fixed * both).sum() + values[:rank].sum())

    step = num_groups / size / (2 * (float(np.abs(scaled).max()) or 1.0))
    z, u, best = fixed.copy(), np.zeros((size, size)), bound(np.zeros((size, size)))
    for count in range(1, STEPS + 1):
        if clock.over:
            break
        values, vectors = np.linalg.eigh(across.T @ (z - u + step * scaled) @ across)
        vectors = across @ vectors
        u += fixed + (vectors * _capped(values, rank)) @ vectors.T
        z = np.maximum(u, 0.0)
        u -= z
        if count % CHECK_EVERY == 0:
            best = min(best, bound(-(u + u.T) / (2 * step)))
    return best


def _on_simplex(values: np.ndarray) -> np.ndarray:
    """The nearest vector of entries of at least 0 that sum to 1."""
    falling = np.sort(values)[::-1]
    sums = (np.cumsum(falling) - 1) / np.arange(1, len(values) + 1)
    return np.asarray(np.maximum(values - sums[np.flatnonzero(falling > sums)[-1]], 0.0))


def _capped(values: np.ndarray, total: int) -> np.ndarray:
    """The nearest vector of entries in 0..1 that sum to a total, by bisection."""
    low, high = float(values.min()) - 1.0, float(values.max())
    for _ in range(60):
        middle = (low + high) / 2
        if np.clip(values - middle, 0.0, 1.0).sum() > total:
            low = middle
        else:
            high = middle
    return np.clip(values - high, 0.0, 1.0)
