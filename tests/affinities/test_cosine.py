import pytest
import torch

from mtlrun.affinities.cosine import CosineCollector, cosines
from mtlrun.core.gradients import flattened, shared_pass, task_gradients
from tests.affinities.models import noisy_point, observed, quadratic_point


@pytest.mark.parametrize("matrices_only", [True, False])
def test_values_are_the_cosines_of_stored_gradients(matrices_only: bool) -> None:
    point = noisy_point(dropout=0.0)
    forward = shared_pass(point.model, point.tasks, point.batch)
    kept = [k for k, p in enumerate(forward.parameters) if p.dim() > 1 or not matrices_only]
    rows = flattened([[row[k] for k in kept] for row in task_gradients(forward)])
    unit = torch.nn.functional.normalize(rows, dim=1)
    values = observed(CosineCollector(matrices_only=matrices_only), point)
    torch.testing.assert_close(values, unit @ unit.T, rtol=0, atol=1e-12)


def test_values_are_symmetric_with_a_diagonal_of_ones() -> None:
    values = observed(CosineCollector(), noisy_point(), noisy_point())
    torch.testing.assert_close(values, values.T, rtol=0, atol=1e-14)
    assert values.diagonal().tolist() == [1.0] * 3
    assert values.abs().max() <= 1


def test_a_zero_gradient_is_similar_to_nothing() -> None:
    phi = torch.tensor([1.0, 2.0], dtype=torch.float64)
    point = quadratic_point([1.0, 1.0], torch.stack([phi, phi + 1]), [0.5, 0.5], phi=phi, lr=0.1)
    values = observed(CosineCollector(matrices_only=False), point)
    assert values.tolist() == [[0.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("scale", [1e-10, 1.0, 1e10])
def test_cosines_ignore_scale(scale: float) -> None:
    rows = scale * torch.tensor([[3.0, 4.0], [4.0, 3.0]], dtype=torch.float64)
    assert cosines(rows @ rows.T)[0, 1] == pytest.approx(0.96, abs=1e-14)
