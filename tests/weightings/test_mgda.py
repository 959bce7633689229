from itertools import combinations

import pytest
import torch

from mtlrun.weightings.mgda import MGDA
from tests.weightings.oracles import EDGES, ONES, rows, set_up


def weights(gradients: torch.Tensor, **settings: object) -> torch.Tensor:
    weighting = set_up(MGDA(**settings), len(gradients))  # type: ignore[arg-type]  # of several types
    return weighting.weights(gradients @ gradients.T, torch.arange(1.0, len(gradients) + 1))


def shortest(gradients: torch.Tensor) -> float:
    """The least norm in the hull: the least over all supports of the least squares within each."""
    norms = []
    for size in range(1, len(gradients) + 1):
        for support in combinations(range(len(gradients)), size):
            own = gradients[list(support)]
            others = (own[1:] - own[:1]).T  # [P, size - 1]
            shares = torch.linalg.lstsq(others, -own[0]).solution
            if (shares >= 0).all() and shares.sum() <= 1:
                norms.append(float((own[0] + others @ shares).norm()))
    return min(norms)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_two_tasks_have_the_closed_form(seed: int, spread: float) -> None:
    one, other = rows(2, spread=spread, seed=seed)
    share = ((other - one) @ other / (one - other).square().sum()).clamp(0, 1)
    found = weights(torch.stack([one, other]))
    torch.testing.assert_close(found, torch.stack([share, 1 - share]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("num_tasks", [3, 9])
@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0, 4.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_combination_is_the_least_of_all_supports(
    num_tasks: int, spread: float, seed: int
) -> None:
    gradients = rows(num_tasks, spread=spread, seed=seed).flip(0)
    found = weights(gradients)
    combined, least = found @ gradients, shortest(gradients)
    assert float(combined.norm()) == pytest.approx(least, rel=1e-9)
    assert combined.norm() <= gradients.norm(dim=1).min() + 1e-9
    assert (found >= 0).all()
    assert float(found.sum()) == pytest.approx(1.0)


def test_gradients_around_zero_combine_to_it() -> None:
    gradients = rows(9, size=3, spread=1.0)
    assert float((weights(gradients) @ gradients).norm()) < 1e-6


def test_more_tasks_than_directions_leave_no_further_descent() -> None:
    gradients = rows(40, size=12, spread=2.0).abs()  # no zero in the hull
    combined = weights(gradients) @ gradients
    assert (gradients @ combined >= (1 - 1e-9) * combined @ combined).all()


@pytest.mark.parametrize("normalization", ["l2", "loss", "loss+"])
def test_normalised_gradients_span_the_hull(normalization: str) -> None:
    gradients, losses = rows(3, spread=2.0), torch.arange(1.0, 4.0, dtype=torch.float64)
    norms = gradients.norm(dim=1)
    divisors = {"l2": norms, "loss": losses, "loss+": norms * losses}[normalization]
    found = weights(gradients, normalization=normalization)
    torch.testing.assert_close(found, weights(gradients / divisors[:, None]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", EDGES)
def test_edge_cases(name: str) -> None:
    gradients = EDGES[name]
    found = set_up(MGDA(), len(gradients)).weights(gradients @ gradients.T, ONES)
    assert float(found.sum()) == pytest.approx(1.0)
    if name in ("opposite", "zero"):
        assert float((found @ gradients).norm()) < 1e-6
