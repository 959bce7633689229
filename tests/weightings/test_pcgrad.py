import pytest
import torch

from mtlrun.weightings.pcgrad import PCGrad
from tests.weightings.oracles import EDGES, ONES, made, rows, set_up


def combined(gradients: torch.Tensor) -> torch.Tensor:
    weighting = set_up(made(PCGrad), len(gradients))
    return weighting.weights(gradients @ gradients.T, ONES) @ gradients


def test_gradients_without_conflict_are_summed() -> None:
    gradients = rows(4).abs()
    torch.testing.assert_close(combined(gradients), gradients.sum(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.0, 6.0])
def test_two_tasks_are_left_without_conflict(seed: int, spread: float) -> None:
    one, other = rows(2, spread=spread, seed=seed)
    gradients = torch.stack([one, other if one @ other < 0 else -other])
    found = combined(gradients)
    assert (gradients @ found >= -1e-9 * gradients.norm(dim=1) * found.norm()).all()
    # Algorithm 1 by hand.
    a, b = gradients
    expected = a - (a @ b) / (b @ b) * b + b - (a @ b) / (a @ a) * a
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", EDGES)
def test_edge_cases(name: str) -> None:
    found = combined(EDGES[name])
    expected = {"opposite": 0 * found}.get(name, EDGES[name].sum(0))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_the_order_comes_from_its_own_generator() -> None:
    gradients = rows(5, size=3)
    products = gradients @ gradients.T
    state = torch.get_rng_state()
    one, other = (set_up(made(PCGrad), 5) for _ in range(2))
    first = [one.weights(products, ONES) for _ in range(4)]
    assert torch.equal(torch.get_rng_state(), state)
    assert not all(torch.equal(first[0], later) for later in first[1:])
    for weights in first[:2]:
        assert torch.equal(other.weights(products, ONES), weights)
    other.load_state_dict({"generator": other.generator.get_state()})
    assert torch.equal(other.weights(products, ONES), first[2])
