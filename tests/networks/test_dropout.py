"""Dropout of inputs: which, how much, and when."""

import pytest
import torch
from torch.nn import functional as F

from mtlrun.networks._dropout import InputDropout


@pytest.mark.parametrize("share", [0.1, 0.7])
def test_a_share_is_0_and_the_rest_is_scaled(share: float) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(400, 500, dtype=torch.float64)
    before = inputs.clone()
    found = InputDropout(share).train()(inputs)
    kept = found != 0
    torch.testing.assert_close(found[kept], inputs[kept] / (1 - share))
    assert float(kept.double().mean()) == pytest.approx(
        1 - share, abs=4 * (0.25 / kept.numel()) ** 0.5
    )
    expected = F.dropout(inputs, share)  # torch's: the same moments
    assert float(found.std()) == pytest.approx(float(expected.std()), rel=0.02)
    # Rows and columns alike: no pattern.
    assert float(kept.double().mean(0).std()) == pytest.approx(
        (share * (1 - share) / 400) ** 0.5, rel=0.15
    )
    assert torch.equal(inputs, before)


def test_gradients_flow_where_values_are_kept() -> None:
    inputs = torch.randn(20, 30, dtype=torch.float64, requires_grad=True)
    found = InputDropout(0.5).train()(inputs)
    (gradient,) = torch.autograd.grad(found.sum(), inputs)
    assert torch.equal(gradient, 2.0 * (found != 0))


@pytest.mark.parametrize("shape", [(3, 5), (40, 1000), (700, 1500)], ids=str)
def test_over_a_buffer_the_same_values_are_dropped(shape: tuple[int, int]) -> None:
    inputs = torch.randn(shape)
    layer, found = InputDropout(0.7).train(), []
    for drop in (layer, layer.over):
        torch.manual_seed(0)
        found.append(drop(inputs.clone()))
    assert torch.equal(*found)


def test_nothing_is_dropped_in_evaluation_or_by_0() -> None:
    inputs = torch.randn(3, 4)
    state = torch.get_rng_state()
    assert InputDropout(0.7).eval()(inputs) is inputs
    assert InputDropout(0.7).eval().over(inputs) is inputs
    assert InputDropout(0.0).train()(inputs) is inputs
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"method\.dropout"):
        InputDropout(share)
