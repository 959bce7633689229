import torch

from mtlrun.weightings.imtl_l import IMTLL
from tests.weightings.oracles import set_up


def test_the_best_scales_bring_every_loss_to_one() -> None:
    weighting, losses = set_up(IMTLL(), 3), torch.tensor([0.3, 1.0, 20.0])
    optimizer = torch.optim.Adam(weighting.module.parameters(), lr=0.05)
    for _ in range(800):
        optimizer.zero_grad()
        weighting.objective(losses).backward()
        optimizer.step()
    torch.testing.assert_close(weighting.weights(losses) * losses, torch.ones(3), rtol=0, atol=3e-3)


def test_scales_begin_at_one() -> None:
    assert set_up(IMTLL(), 2).weights(torch.tensor([3.0, 4.0])).tolist() == [1.0, 1.0]
