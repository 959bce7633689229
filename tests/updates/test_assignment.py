"""Relaxed assignments: their laws, their temperatures, and losses of single examples."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError

from mtlrun.core.task import Output, Task
from mtlrun.tasks.attributes import attribute
from mtlrun.tasks.boundaries import boundaries
from mtlrun.tasks.curvature import curvature
from mtlrun.tasks.depth import depth
from mtlrun.tasks.normals import normals
from mtlrun.tasks.regression import regression
from mtlrun.tasks.saliency import saliency
from mtlrun.tasks.segmentation import segmentation
from mtlrun.updates._assignment import (
    binary_entropy,
    example_losses,
    gumbel_noise,
    mixed,
    shares,
    temperature,
)

LOGITS = torch.tensor([[1.0, 1.0, 1.0], [2.0, 0.0, -1.0]], dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 6), st.integers(1, 6), st.floats(0.05, 20), st.floats(0, 30), st.integers(0, 99)
)
def test_rows_are_positive_and_sum_to_1(
    num_tasks: int, num_groups: int, tau: float, scale: float, seed: int
) -> None:
    shape = (num_tasks, num_groups)
    logits = scale * torch.randn(*shape, generator=generator(seed), dtype=torch.float64)
    noise = gumbel_noise(shape, generator(seed))
    for found in (shares(logits, tau=tau), shares(logits, tau=tau, noise=noise)):
        torch.testing.assert_close(found.sum(1), torch.ones(num_tasks).double(), rtol=0, atol=1e-14)
        assert bool((found >= 0).all())
        if scale < 1 < tau:
            assert bool((found > 0).all())
    if num_groups == 1:
        assert torch.equal(found, torch.ones(shape).double())


@pytest.mark.parametrize("tau", [0.2, 1.0, 4.0])
def test_the_largest_share_is_a_groups_as_often_as_its_probability(tau: float) -> None:
    number = 40_000
    noise = gumbel_noise((number, *LOGITS.shape), generator())
    largest = shares(LOGITS, tau=tau, noise=noise).argmax(-1)  # [S, T]
    found = F.one_hot(largest, 3).double().mean(0)
    torch.testing.assert_close(found, LOGITS.softmax(1), rtol=0, atol=4 / math.sqrt(4 * number))


def test_noise_is_of_the_standard_gumbel_distribution() -> None:
    noise = gumbel_noise((200_000,), generator())
    assert float(noise.mean()) == pytest.approx(0.57722, abs=0.01)
    assert float(noise.var()) == pytest.approx(math.pi**2 / 6, abs=0.03)


def test_shares_are_a_draw_of_the_relaxed_one_hot_distribution() -> None:
    tau = torch.tensor(0.7, dtype=torch.float64)
    torch.manual_seed(0)
    expected = torch.distributions.RelaxedOneHotCategorical(tau, logits=LOGITS).rsample()
    torch.manual_seed(0)
    uniform = torch.rand(LOGITS.shape, dtype=torch.float64)
    noise = -(-uniform.log()).log()
    for logits in (LOGITS, LOGITS.log_softmax(1)):
        found = shares(logits, tau=float(tau), noise=noise)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_temperatures_begin_and_end_where_they_should() -> None:
    moved = partial(temperature, tau=4.0, tau_end=0.25)
    assert [moved(p, schedule="constant") for p in (0, 0.5, 1)] == [4, 4, 4]
    assert [moved(p, schedule="linear") for p in (0, 0.5, 1)] == [4, 2.125, 0.25]
    assert [moved(p, schedule="exp") for p in (0, 0.5, 1)] == [4, 1, 0.25]


def test_mixing_is_the_weighted_sum_and_so_are_its_gradients() -> None:
    losses = torch.rand(4, 3, generator=generator(), dtype=torch.float64).requires_grad_()
    weights = torch.rand(4, 3, generator=generator(1), dtype=torch.float64).softmax(1)
    weights.requires_grad_()
    found, expected = mixed(losses, weights), (weights * losses).sum(1)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=0)
    at_losses, at_weights = torch.autograd.grad(found.sum(), [losses, weights])
    assert torch.equal(at_losses, weights)
    shifted = losses - losses[:, :1]  # the sum of weights is 1: a constant changes nothing
    assert torch.equal(at_weights, shifted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_have_exactly_no_gradient_where_all_groups_have_one_loss(dtype: torch.dtype) -> None:
    logits = torch.randn(5, 7, generator=generator(), dtype=dtype, requires_grad=True)
    losses = (10 * torch.rand(5, 1, generator=generator(1), dtype=dtype)).expand(5, 7)
    noise = gumbel_noise(logits.shape, generator(2))
    (found,) = torch.autograd.grad(
        mixed(losses, shares(logits, tau=0.3, noise=noise)).sum(), logits
    )
    assert not found.any()


def test_entropy_is_that_of_being_in_each_group_or_not() -> None:
    # Two groups at 1/2: 2 (ln 2 / 2 + ln 2 / 2); the mean with a task that is decided is half of it.
    logits = torch.tensor([[0.0, 0.0], [90.0, 0.0]], dtype=torch.float64)
    assert float(binary_entropy(logits)) == pytest.approx(math.log(2), abs=1e-12)
    third = -(1 / 3) * math.log(1 / 3) - (2 / 3) * math.log(2 / 3)
    assert float(binary_entropy(torch.zeros(1, 3).double())) == pytest.approx(3 * third, abs=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e10])
@pytest.mark.parametrize("num_groups", [1, 2, 5])
def test_entropy_and_its_gradient_are_finite(num_groups: int, scale: float) -> None:
    logits = scale * torch.randn(3, num_groups, generator=generator())
    logits.requires_grad_()
    value = binary_entropy(logits)
    value.backward()  # type: ignore[no-untyped-call]  # torch's backward has no annotations
    assert logits.grad is not None
    assert bool(value.isfinite())
    assert bool(logits.grad.isfinite().all())
    if num_groups == 1:
        assert float(value.detach()) == 0


def looks_at_values(prediction: Tensor, target: Tensor) -> Tensor:
    if bool((target > 5).any()):
        return F.l1_loss(prediction, target)
    return F.mse_loss(prediction, target)


def cases() -> dict[str, tuple[Task, Tensor, Tensor]]:
    """A task of every loss there is, predictions and targets, some of them invalid."""

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator(), dtype=torch.float64)

    dense = (4, 1, 3, 5)
    holes = draw(*dense).abs() + 0.1
    holes[1, :, 0] = torch.nan
    holes[2] = torch.nan  # an example without a valid entry
    labels = torch.randint(0, 3, (4, 3, 5), generator=generator())
    labels[0, 0] = 255
    yes = (draw(*dense) > 0).double()
    yes[3, :, :2] = torch.nan
    three = draw(4, 3, 3, 5)
    three[0, :, 1] = 0
    values = Task(
        "values", Output("vector", 2), looks_at_values, {"mae": MeanAbsoluteError}, {"mae": False}
    )
    return {
        "attribute": (attribute("x"), draw(4, 2), torch.tensor([0, 1, 1, 0])),
        "segmentation": (segmentation(num_classes=3), draw(4, 3, 3, 5), labels),
        "depth": (depth(), draw(*dense), holes),
        "normals": (normals(), draw(4, 3, 3, 5), F.normalize(three, dim=1)),
        "regression": (regression("x"), draw(*dense), holes),
        "curvature": (curvature("x"), draw(4, 2, 3, 5), draw(4, 2, 3, 5)),
        "saliency": (saliency(), draw(*dense), yes),
        "boundaries": (boundaries(), draw(*dense), yes),
        "values": (values, draw(4, 2), 4 * draw(4, 2)),
    }


@pytest.mark.parametrize("name", cases())
def test_losses_of_examples_are_those_of_batches_of_one(name: str) -> None:
    task, prediction, target = cases()[name]
    prediction.requires_grad_()
    found = example_losses(task, prediction, target)
    expected = torch.stack(
        [task.loss(prediction[b : b + 1], target[b : b + 1]) for b in range(len(target))]
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)
    weights = torch.arange(1.0, len(target) + 1, dtype=torch.float64)
    gradients: Any = [
        torch.autograd.grad((weights * own).sum(), prediction, retain_graph=True)[0]
        for own in (found, expected)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)
