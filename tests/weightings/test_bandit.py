import math

import pytest
import torch
from torch import Tensor

from mtlrun.weightings.bandit import Bandit, within
from tests.weightings.oracles import set_up


def divergence(shares: Tensor) -> float:
    return float((shares * (len(shares) * shares).log()).sum())


def test_a_step_within_the_limit_is_the_exponential_one() -> None:
    weighting, losses = set_up(Bandit(rho=1.2, rate=0.5), 3), torch.tensor([1.0, 2.0, 0.5])
    assert weighting.weights(losses).tolist() == pytest.approx([1 / 3] * 3)
    found = weighting.weights(losses)
    torch.testing.assert_close(found, (0.5 * losses).softmax(0))


@pytest.mark.parametrize("rho", [0.01, 0.1, 0.5])
def test_the_divergence_stays_at_the_limit(rho: float) -> None:
    logits = torch.tensor([0.0, 4.0, 9.0], dtype=torch.float64)
    shares = within(logits, rho).exp()
    assert float(shares.sum()) == pytest.approx(1.0)
    assert divergence(shares) == pytest.approx(rho, abs=1e-9)
    assert shares.argsort().tolist() == [0, 1, 2]


def test_the_limited_point_is_the_one_of_the_multiplier() -> None:
    # The paper seeks the multiplier lambda with the divergence of q^(1 / (1 + lambda)) at rho.
    logits, rho = torch.tensor([0.3, 1.0, 3.0], dtype=torch.float64), 0.2
    shares = within(logits, rho)
    power = (shares[2] - shares[0]) / (logits[2] - logits[0])
    assert 0 < float(power) < 1
    torch.testing.assert_close((power * logits).log_softmax(0), shares, rtol=0, atol=1e-9)


def test_the_largest_loss_keeps_the_largest_weight() -> None:
    weighting, losses = set_up(Bandit(rho=0.3), 3), torch.tensor([1.0, 30.0, 2.0])
    for _ in range(50):
        weights = weighting.weights(losses)
    assert int(weights.argmax()) == 1
    assert divergence(weights.double()) <= 0.3 + 1e-6


def test_one_task_weighs_one() -> None:
    weighting = set_up(Bandit(), 1)
    assert [float(weighting.weights(torch.tensor([5.0]))) for _ in range(2)] == [1.0, 1.0]
    assert math.isfinite(float(within(torch.tensor([3.0]), 0.1)))
