import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from mtlrun.weightings.cagrad import CAGrad, conflict_averse
from tests.weightings.oracles import EDGES, ONES, rows, set_up


def dual(gramian: np.ndarray, w: np.ndarray, c: float) -> float:
    """What w makes least: <g_w, g_0> + c |g_0| |g_w|."""
    even = np.full(len(gramian), 1 / len(gramian))
    return float(w @ gramian @ even + c * np.sqrt(even @ gramian @ even * (w @ gramian @ w)))


@pytest.mark.parametrize("num_tasks", [2, 3, 5, 9])
@pytest.mark.parametrize("spread", [0.0, 2.0, 4.0])
def test_no_other_point_of_the_simplex_is_better(num_tasks: int, spread: float) -> None:
    gradients = rows(num_tasks, spread=spread).numpy()
    gramian = gradients @ gradients.T
    found = conflict_averse(gramian, 0.5) - 1 / num_tasks
    w = found / found.sum()
    assert (w >= -1e-12).all()
    even = np.full(num_tasks, 1 / num_tasks)
    mapped = gramian @ w
    slope = gramian @ even + 0.5 * np.sqrt(even @ gramian @ even) / np.sqrt(w @ mapped) * mapped
    # Where it is least, no task's slope lies below the mean one; per unit of gradients.
    units = np.sqrt(gramian.diagonal() * (even @ gramian @ even))
    excess = (slope - slope @ w) / units
    assert excess.min() > -1e-6
    assert np.abs(excess * w * units).max() <= 1e-6 * abs(dual(gramian, w, 0.5))


@pytest.mark.parametrize("seed", range(3))
def test_two_tasks_by_a_search_along_the_edge(seed: int) -> None:
    gradients = rows(2, spread=1.0, seed=seed).numpy()
    gramian = gradients @ gradients.T
    best = minimize_scalar(
        lambda s: dual(gramian, np.array([s, 1 - s]), 0.4),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-12},
    )
    w = np.array([best.x, 1 - best.x])
    even = np.array([0.5, 0.5])
    expected = even + 0.4 * np.sqrt(even @ gramian @ even) / np.sqrt(w @ gramian @ w) * w
    assert conflict_averse(gramian, 0.4) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_direction_lies_on_the_sphere_around_the_mean() -> None:
    gradients = rows(4).numpy()
    mean = gradients.mean(0)
    found = conflict_averse(gradients @ gradients.T, 0.3) @ gradients
    assert np.linalg.norm(found - mean) == pytest.approx(0.3 * np.linalg.norm(mean), rel=1e-9)


def test_no_radius_gives_the_mean() -> None:
    gradients = rows(3)
    found = set_up(CAGrad(c=0.0), 3).weights(gradients @ gradients.T, ONES)
    assert found.tolist() == pytest.approx([1 / 3] * 3)


def test_the_divisor() -> None:
    gradients = rows(3)
    products = gradients @ gradients.T
    plain, squared, linear = (
        set_up(CAGrad(c=0.5, rescale=rescale), 3).weights(products, ONES)  # type: ignore[arg-type]
        for rescale in ("none", "squared", "linear")
    )
    torch.testing.assert_close(squared * 1.25, plain)
    torch.testing.assert_close(linear * 1.5, plain)


@pytest.mark.parametrize("name", EDGES)
def test_edge_cases_stay_finite(name: str) -> None:
    gradients = EDGES[name]
    assert set_up(CAGrad(), len(gradients)).weights(gradients @ gradients.T, ONES).isfinite().all()


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weighting\.c"):
        CAGrad(c=-0.1)
