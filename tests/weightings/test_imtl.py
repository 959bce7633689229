import torch

from mtlrun.weightings.imtl import IMTL
from mtlrun.weightings.imtl_g import equal_projections
from tests.weightings.oracles import rows, set_up


def test_the_gradients_of_scaled_losses_project_alike() -> None:
    weighting, gradients = set_up(IMTL(), 3), rows(3)
    scales = torch.tensor([0.5, 2.0, 8.0], dtype=torch.float64)
    with torch.no_grad():
        weighting.scaling.module.values.copy_(scales.log())
    found = weighting.weights(gradients @ gradients.T, torch.ones(3))
    scaled = scales[:, None] * gradients
    torch.testing.assert_close(
        found, scales * equal_projections(scaled @ scaled.T), rtol=1e-6, atol=1e-9
    )
    torch.testing.assert_close(weighting.head_weights(found).double(), scales, rtol=1e-6, atol=0)


def test_the_scales_learn_as_those_of_the_loss_part() -> None:
    weighting, losses = set_up(IMTL(), 2), torch.tensor([3.0, 0.5])
    weighting.objective(losses).backward()
    assert weighting.scaling.module.values.grad is not None
    assert weighting.scaling.module.values.grad.tolist() == [2.0, -0.5]
    assert "module" in weighting.state_dict()
