import numpy as np
import pytest
import torch

from mtlrun.weightings.nash_mtl import NashMTL, bargain
from tests.weightings.oracles import EDGES, ONES, rows, set_up


@pytest.mark.parametrize("num_tasks", [1, 2, 3, 5, 9, 11])
@pytest.mark.parametrize("spread", [0.0, 2.0, 4.0])
def test_the_bargain_solves_its_equation(num_tasks: int, spread: float) -> None:
    for seed in range(5):
        gradients = rows(num_tasks, size=20, spread=spread, seed=seed).numpy()
        gramian = gradients @ gradients.T
        weights = bargain(gramian)
        assert (weights > 0).all()
        assert gramian @ weights * weights == pytest.approx(np.ones(num_tasks), abs=1e-6)


def test_one_task_has_the_weight_one_over_its_norm() -> None:
    gradients = rows(1)
    found = set_up(NashMTL(max_norm=None), 1).weights(gradients @ gradients.T, ONES)
    assert float(found) == pytest.approx(1 / float(gradients.norm()))


def test_a_scale_of_a_gradient_does_not_alter_the_direction() -> None:
    gradients, scales = rows(4), torch.tensor([[1e-4], [1.0], [1e3], [1e4]], dtype=torch.float64)
    weighting = set_up(NashMTL(), 4)
    one, other = (weighting.weights(g @ g.T, ONES) @ g for g in (gradients, scales * gradients))
    torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


def test_the_combined_gradient_has_the_largest_norm_allowed() -> None:
    gradients = rows(3, spread=2.0)
    products = gradients @ gradients.T
    for limit, expected in ((1.0, 1.0), (None, 3**0.5), (9.0, 3**0.5)):
        found = set_up(NashMTL(max_norm=limit), 3).weights(products, ONES) @ gradients
        assert float(found.norm()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", EDGES)
def test_edge_cases_stay_finite(name: str) -> None:
    gradients = EDGES[name]
    found = set_up(NashMTL(), len(gradients)).weights(gradients @ gradients.T, ONES)
    assert found.isfinite().all()
    if name == "zero":
        assert float(found[1]) == 0


def test_a_limit_should_be_positive() -> None:
    with pytest.raises(ValueError, match=r"weighting\.max_norm"):
        NashMTL(max_norm=0.0)
