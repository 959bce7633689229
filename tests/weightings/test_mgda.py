import pytest
import torch

from mtlrun.weightings.mgda import MGDA
from tests.weightings.oracles import EDGES, ONES, rows, set_up


def weights(gradients: torch.Tensor, **settings: object) -> torch.Tensor:
    weighting = set_up(MGDA(**settings), len(gradients))  # type: ignore[arg-type]  # of several types
    return weighting.weights(gradients @ gradients.T, torch.arange(1.0, len(gradients) + 1))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_two_tasks_have_the_closed_form(seed: int, spread: float) -> None:
    one, other = rows(2, spread=spread, seed=seed)
    share = ((other - one) @ other / (one - other).square().sum()).clamp(0, 1)
    found = weights(torch.stack([one, other]))
    torch.testing.assert_close(found, torch.stack([share, 1 - share]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("num_tasks", [3, 9])
def test_the_combination_is_no_longer_than_any_gradient(num_tasks: int) -> None:
    gradients = rows(num_tasks)
    found = weights(gradients, tolerance=1e-6, max_iterations=5000)
    combined = found @ gradients
    assert combined.norm() <= gradients.norm(dim=1).min() + 1e-9
    assert (gradients @ combined >= (1 - 5e-3) * combined @ combined).all()  # no further descent
    assert float(found.sum()) == pytest.approx(1.0)


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
