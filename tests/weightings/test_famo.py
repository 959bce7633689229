import torch
from torchjd.scalarization import FAMO as Oracle

from mtlrun.weightings.famo import FAMO
from tests.weightings.oracles import set_up


def test_weights_follow_torchjd_over_many_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = set_up(FAMO(), 3), Oracle(3)
    for _ in range(30):
        before = torch.rand(3, generator=generator) + 0.1
        after = before * (0.8 + 0.3 * torch.rand(3, generator=generator))
        values = before.clone().requires_grad_()
        (slope,) = torch.autograd.grad(theirs(values), values)
        torch.testing.assert_close(ours.weights(before), slope, rtol=1e-5, atol=1e-6)
        theirs.update(after)
        ours.losses_after(before, after)
    assert float(ours.logits.shares().std()) > 0.01


def test_a_task_whose_loss_falls_less_gains_weight() -> None:
    weighting, losses = set_up(FAMO(), 2), torch.tensor([1.0, 1.0])
    assert weighting.weights(losses).tolist() == [0.5, 0.5]
    weighting.losses_after(losses, torch.tensor([0.5, 0.99]))
    first, second = weighting.weights(losses).tolist()
    assert second > first
