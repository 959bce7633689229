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


def _on_simplex(values: np.ndarray) -> np.ndarray:
    """The nearest vector of entries of at least 0 that sum to 1."""
    falling = np.sort(values)[::-1]
    sums = (np.cumsum(falling) - 1) / np.arange(1, len(values) + 1)
    return np.asarray(np.maximum(values - sums[np.flatnonzero(falling > sums)[-1]], 0.0))
