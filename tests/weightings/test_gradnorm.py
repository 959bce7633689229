import pytest
import torch

from mtlrun.weightings.gradnorm import GradNorm, norm_slope
from tests.weightings.oracles import set_up


def test_the_slope_is_that_of_the_sum_of_differences() -> None:
    weights = torch.tensor([0.5, 1.5, 1.0], dtype=torch.float64, requires_grad=True)
    norms = torch.tensor([4.0, 1.0, 2.0], dtype=torch.float64)
    rates = torch.tensor([0.5, 1.5, 1.0], dtype=torch.float64)
    weighed = weights * norms
    target = (weighed.mean() * rates**1.5).detach()
    (slope,) = torch.autograd.grad((weighed - target).abs().sum(), weights)
    torch.testing.assert_close(norm_slope(weights.detach(), norms, rates, 1.5), slope)


def test_at_equal_rates_all_norms_become_one() -> None:
    weighting = set_up(GradNorm(), 3)
    gramian, losses = torch.diag(torch.tensor([16.0, 1.0, 4.0])).double(), torch.ones(3)
    for _ in range(400):
        weights = weighting.weights(gramian, losses)
        assert float(weights.sum()) == pytest.approx(3.0)
    weighed = weights * torch.tensor([4.0, 1.0, 2.0])
    assert float(weighed.max() / weighed.min()) < 1.2


def test_a_task_that_trains_slowly_gains_weight() -> None:
    weighting, gramian = set_up(GradNorm(), 2), torch.eye(2, dtype=torch.float64)
    assert weighting.weights(gramian, torch.tensor([2.0, 2.0])).tolist() == [1.0, 1.0]
    for _ in range(5):
        weights = weighting.weights(gramian, torch.tensor([1.0, 1.9]))
    assert weights[1] > 1 > weights[0]
    assert weighting.head_weights(weights).tolist() == weights.tolist()
