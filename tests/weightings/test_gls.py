import torch

from mtlrun.weightings.gls import GLS
from tests.weightings.oracles import set_up


def test_the_weights_are_the_slope_of_the_geometric_mean() -> None:
    losses = torch.tensor([0.2, 3.0, 7.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(losses.prod() ** (1 / 3), losses)
    found = set_up(GLS(), 3).weights(losses.detach())
    torch.testing.assert_close(found, slope, rtol=1e-12, atol=0)


def test_a_scale_of_a_loss_does_not_alter_the_direction() -> None:
    weighting, scales = set_up(GLS(), 3), torch.tensor([1e-10, 1.0, 1e10], dtype=torch.float64)
    losses = torch.tensor([0.2, 3.0, 7.0], dtype=torch.float64)
    one, other = weighting.weights(losses) * losses, weighting.weights(scales * losses) * losses
    torch.testing.assert_close(one / one.sum(), scales * other / (scales * other).sum())


def test_a_loss_of_zero_keeps_the_weights_finite() -> None:
    assert set_up(GLS(), 2).weights(torch.tensor([0.0, 1.0])).isfinite().all()
