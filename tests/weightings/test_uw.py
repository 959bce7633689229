import torch

from mtlrun.weightings.uw import UW
from tests.weightings.oracles import set_up


def test_the_best_log_variance_is_the_log_of_the_loss() -> None:
    weighting, losses = set_up(UW(), 3), torch.tensor([0.3, 1.0, 20.0])
    optimizer = torch.optim.Adam(weighting.module.parameters(), lr=0.05)
    for _ in range(800):
        optimizer.zero_grad()
        weighting.objective(losses).backward()
        optimizer.step()
    torch.testing.assert_close(weighting.module.values.detach(), losses.log(), rtol=0, atol=1e-3)
    torch.testing.assert_close(weighting.weights(losses), 0.5 / losses, rtol=2e-3, atol=0)


def test_the_weights_are_the_slope_of_the_objective() -> None:
    weighting = set_up(UW(begin=-0.5), 3)
    losses = torch.tensor([0.3, 1.0, 20.0], requires_grad=True)
    (slope,) = torch.autograd.grad(weighting.objective(losses), losses)
    torch.testing.assert_close(slope, weighting.weights(losses.detach()))
