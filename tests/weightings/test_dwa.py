import math

import pytest
import torch

from mtlrun.weightings.dwa import DWA
from tests.weightings.oracles import set_up


def after_epochs(*means: list[float], temperature: float = 2.0) -> torch.Tensor:
    weighting = set_up(DWA(temperature=temperature), len(means[0]))
    for mean in means:
        for sign in (-1, 1):  # two batches around the mean
            weighting.weights(torch.tensor(mean) * (1 + 0.25 * sign))
        weighting.epoch_ended()
    return weighting.weights(torch.ones(len(means[0])))


def test_the_first_two_epochs_have_plain_weights() -> None:
    assert after_epochs([3.0, 1.0]).tolist() == [1.0, 1.0]


def test_the_loss_that_falls_slower_weighs_more() -> None:
    # Eq. 7 by hand: ratios 1/2 and 1, temperature 2.
    shares = [math.exp(0.25), math.exp(0.5)]
    expected = [2 * share / sum(shares) for share in shares]
    assert after_epochs([9.0, 9.0], [4.0, 1.0], [2.0, 1.0]).tolist() == pytest.approx(expected)


def test_equal_ratios_give_plain_weights() -> None:
    assert after_epochs([8.0, 2.0], [4.0, 1.0]).tolist() == pytest.approx([1.0, 1.0])


def test_the_temperature_should_be_positive() -> None:
    with pytest.raises(ValueError, match=r"weighting\.temperature"):
        DWA(temperature=0.0)
