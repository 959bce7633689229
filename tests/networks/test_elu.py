"""ELU: torch's values and gradients."""

import pytest
import torch
from torch.nn import functional as F

from mtlrun.networks._elu import FastELU

EDGES = [0.0, -0.0, 1e-30, -1e-30, 1e-4, -1e-4, 88.0, -88.0, 1e30, -1e30, torch.inf, -torch.inf]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_slopes_are_torchs_to_the_rounding_of_1(dtype: torch.dtype) -> None:
    inputs = torch.cat([torch.tensor(EDGES), torch.linspace(-20, 20, 999)]).to(dtype)
    inputs.requires_grad_()
    before = inputs.detach().clone()
    found, expected = FastELU()(inputs), F.elu(inputs)
    rounding = torch.finfo(dtype).eps
    torch.testing.assert_close(found, expected, rtol=0, atol=rounding)
    assert torch.equal(found[inputs > 0], inputs[inputs > 0])  # exactly
    weights = torch.randn(len(inputs), generator=torch.Generator().manual_seed(0)).to(dtype)
    (of_found,), (of_expected,) = (
        torch.autograd.grad(values, inputs, weights) for values in (found, expected)
    )
    torch.testing.assert_close(of_found, of_expected, rtol=4 * rounding, atol=4 * rounding)
    assert torch.equal(inputs, before)


def test_what_is_no_number_stays_none() -> None:
    assert FastELU()(torch.tensor([torch.nan, 1.0])).isnan().tolist() == [True, False]


def test_short_types_are_torchs() -> None:
    inputs = torch.linspace(-3, 3, 99).bfloat16()
    assert torch.equal(FastELU()(inputs), F.elu(inputs))
