"""Affinities of many tasks to measure solvers with: eight kinds of matrix, drawn by seed."""

from collections.abc import Callable, Mapping

import numpy as np

Draw = Callable[[np.random.Generator, int], np.ndarray]


def affinity(family: str, num_tasks: int, seed: int) -> np.ndarray:
    """[n, n] float64 of a family, the same for the same arguments."""
    return FAMILIES[family](np.random.default_rng([seed, num_tasks]), num_tasks)


def _gauss(rng: np.random.Generator, n: int) -> np.ndarray:
    matrix = rng.normal(size=(n, n))
    np.fill_diagonal(matrix, 0.0)
    return matrix


def _uniform(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.uniform(-1.0, 1.0, size=(n, n))


def _big_diagonal(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, n)) + np.diag(rng.uniform(5.0, 10.0, size=n))


def _blocks(rng: np.random.Generator, n: int) -> np.ndarray:
    """Tasks of ten hidden groups help each other and hurt all others, and noise."""
    hidden = rng.integers(10, size=n)
    signs = np.where(hidden[:, None] == hidden, 1.0, -0.3)
    return signs + 0.3 * rng.normal(size=(n, n))


def _low_rank(rng: np.random.Generator, n: int) -> np.ndarray:
    factors = rng.normal(size=(n, 3))
    return factors @ factors.T / 3 + 0.2 * rng.normal(size=(n, n))


def _celeba(rng: np.random.Generator, n: int) -> np.ndarray:
    """Every target has a level of its own below 0 that all sources are near; a large diagonal."""
    level = -rng.uniform(30.0, 190.0, size=n)
    matrix = level * (1 + 0.15 * rng.normal(size=(n, n)))
    np.fill_diagonal(matrix, rng.uniform(180.0, 380.0, size=n))
    return matrix


def _positive(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.uniform(0.0, 1.0, size=(n, n))


def _negative(rng: np.random.Generator, n: int) -> np.ndarray:
    return -rng.uniform(0.0, 1.0, size=(n, n))


FAMILIES: Mapping[str, Draw] = {
    "gauss": _gauss,
    "uniform": _uniform,
    "big_diagonal": _big_diagonal,
    "blocks": _blocks,
    "low_rank": _low_rank,
    "celeba": _celeba,
    "positive": _positive,
    "negative": _negative,
}
