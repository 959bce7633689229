"""Drawn logits: against drawn classifiers, against loops, and their gradients against autograd's."""

import math

import pytest
import torch
from torch import Tensor

from mtlrun.networks._draws import paired_logits, product_logits, with_bias
from mtlrun.networks._gaussian import Gaussian, root

K, B, D, C, S = 2, 3, 4, 5, 6


def moments(*shape: int, seed: int, with_variance: bool = True) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(shape, dtype=torch.float64, generator=generator)
    if not with_variance:
        return Gaussian(mean, None)
    return Gaussian(mean, torch.randn(shape, dtype=torch.float64, generator=generator).exp())


def leaves(*parts: Gaussian) -> list[Tensor]:
    return [v for part in parts for v in (part.mean, part.variance) if v is not None]


def by_autograd(posterior: Gaussian, weights: Gaussian) -> Tensor:
    """Paired logits as a formula of the same noise, in the order in which it is drawn."""
    own = with_bias(posterior, weights)
    assert weights.variance is not None
    rows = own.mean.unsqueeze(1).expand(-1, S, -1, -1)
    if own.variance is not None:
        noise = torch.randn(rows.shape, dtype=torch.float64)
        rows = rows + root(own.variance).unsqueeze(1) * noise
    mean = torch.einsum("ksbd,kcd->ksbc", rows, weights.mean)
    variance = torch.einsum("ksbd,kcd->ksbc", rows.square(), weights.variance)
    flat = torch.randn(len(mean), S * rows.shape[2], weights.mean.shape[1], dtype=torch.float64)
    return (mean + root(variance) * flat.view_as(mean)).transpose(0, 1)


@pytest.mark.parametrize("num_weights", [D, D + 1], ids=["plain", "bias"])
@pytest.mark.parametrize("random_z", [True, False], ids=["random z", "point z"])
def test_paired_logits_and_their_gradients_are_those_of_the_formula(
    num_weights: int, random_z: bool
) -> None:
    posterior = moments(K, B, D, seed=0, with_variance=random_z)
    weights = moments(K, C, num_weights, seed=1)
    own = [v.requires_grad_() for v in leaves(posterior, weights)]
    pull = torch.randn(S, K, B, C, dtype=torch.float64)
    found, gradients = [], []
    for logits_of in (
        lambda: paired_logits(posterior, weights, S),
        lambda: by_autograd(posterior, weights),
    ):
        torch.manual_seed(5)
        found.append(logits_of())
        gradients.append(torch.autograd.grad((found[-1] * pull).sum(), own))
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("num_weights", [D, D + 1], ids=["plain", "bias"])
def test_paired_logits_have_the_gradient_of_finite_differences(num_weights: int) -> None:
    posterior, weights = moments(K, B, D, seed=0), moments(K, C, num_weights, seed=1)

    def logits(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
        torch.manual_seed(5)
        return paired_logits(Gaussian(a, b), Gaussian(c, d), 2)

    assert torch.autograd.gradcheck(
        logits, [v.requires_grad_() for v in leaves(posterior, weights)]
    )


def test_a_variance_of_0_has_no_gradient() -> None:
    posterior, weights = moments(K, B, D, seed=0), moments(K, C, D, seed=1)
    assert posterior.variance is not None
    variance = posterior.variance.float()
    variance[0, 0, 0] = 0
    variance.requires_grad_()
    found = paired_logits(
        Gaussian(posterior.mean.float(), variance),
        Gaussian(*(v.float() for v in leaves(weights))),
        S,
    )
    (gradient,) = torch.autograd.grad(found.square().sum(), variance)
    assert torch.equal(gradient == 0, variance == 0)
    assert float(gradient.abs().max()) < 1e6


def test_paired_logits_leave_what_they_are_given_unchanged() -> None:
    posterior, weights = moments(K, B, D, seed=0), moments(K, C, D, seed=1)
    before = [v.clone() for v in leaves(posterior, weights)]
    own = [v.requires_grad_() for v in leaves(posterior, weights)]
    logits = paired_logits(posterior, weights, S)
    shown = logits.detach().clone()
    pull = torch.randn_like(shown)
    kept = pull.clone()
    torch.autograd.grad(logits, own, pull)
    assert all(torch.equal(a, b) for a, b in zip(before, own, strict=True))
    assert torch.equal(logits, shown)
    assert torch.equal(pull, kept)


def explicit(posterior: Gaussian, weights: Gaussian, count: int) -> Tensor:
    """Logits of drawn z, each row with a classifier that is drawn for it."""
    own = with_bias(posterior, weights)
    rows = own.draws(count)
    rows = rows.expand(count, *rows.shape[1:])
    assert weights.variance is not None
    shape = (count, K, B, *weights.mean.shape[1:])
    drawn = weights.mean.unsqueeze(1) + weights.variance.sqrt().unsqueeze(1) * torch.randn(
        shape, dtype=torch.float64
    )
    return torch.einsum("skbd,skbcd->skbc", rows, drawn)


@pytest.mark.parametrize("random_z", [True, False], ids=["random z", "point z"])
def test_paired_logits_are_distributed_as_those_of_drawn_classifiers(random_z: bool) -> None:
    count = 60_000
    posterior = moments(K, B, D, seed=0, with_variance=random_z)
    weights = moments(K, C, D + 1, seed=1)
    torch.manual_seed(0)
    found, expected = paired_logits(posterior, weights, count), explicit(posterior, weights, count)
    assert found.shape == expected.shape == (count, K, B, C)
    spread = expected.std(0)
    error = spread * math.sqrt(2 / count)
    assert ((found.mean(0) - expected.mean(0)).abs() < 5 * error).all()
    torch.testing.assert_close(found.std(0), spread, rtol=0.05, atol=0)
    # Classes depend on one another through z alone.
    for k in range(K):
        one, other = (torch.cov(own[:, k, 0].T) for own in (found, expected))
        scale = torch.sqrt(other.diagonal().outer(other.diagonal()))
        assert ((one - other).abs() / scale < 0.05).all()
        if not random_z:
            assert ((one - torch.diag(one.diagonal())).abs() / scale < 0.03).all()


def test_a_drawn_representation_has_the_posteriors_moments() -> None:
    posterior, count = moments(K, B, D, seed=0), 200_000
    assert posterior.variance is not None
    draws = posterior.draws(count, generator=torch.Generator().manual_seed(0))
    error = posterior.variance.sqrt() / math.sqrt(count)
    assert ((draws.mean(0) - posterior.mean).abs() < 5 * error).all()
    torch.testing.assert_close(draws.var(0), posterior.variance, rtol=0.03, atol=0)


@pytest.mark.parametrize("num_weights", [D, D + 1], ids=["plain", "bias"])
def test_product_logits_are_those_of_every_pair(num_weights: int) -> None:
    posterior, weights = moments(K, B, D, seed=0), moments(K, C, num_weights, seed=1)
    latents = with_bias(posterior, weights).draws(3)
    found = product_logits(latents, weights, 2, generator=torch.Generator().manual_seed(1))
    drawn = weights.draws(2, generator=torch.Generator().manual_seed(1))
    assert found.shape == (6, K, B, C)
    for m in range(2):
        for z in range(3):
            for k in range(K):
                expected = latents[z, k] @ drawn[m, k].T
                torch.testing.assert_close(found[m * 3 + z, k], expected, rtol=1e-12, atol=1e-12)


def test_points_have_one_draw() -> None:
    point, weights = moments(K, B, D, seed=0, with_variance=False), moments(K, C, D, seed=1)
    sure = Gaussian(weights.mean, None)
    expected = torch.einsum("kbd,kcd->kbc", point.mean, weights.mean)
    torch.testing.assert_close(paired_logits(point, sure, 10), expected.unsqueeze(0))
    assert paired_logits(moments(K, B, D, seed=0), sure, 10).shape == (10, K, B, C)
    assert product_logits(point.draws(3), weights, 4).shape == (4, K, B, C)


def test_a_bias_reads_a_one_without_spread() -> None:
    posterior, weights = moments(K, B, D, seed=0), moments(K, C, D + 1, seed=1)
    found = with_bias(posterior, weights)
    assert found.variance is not None
    assert torch.equal(found.mean[..., :D], posterior.mean)
    assert (found.mean[..., D] == 1).all()
    assert (found.variance[..., D] == 0).all()
    assert with_bias(posterior, moments(K, C, D, seed=1)) is posterior
