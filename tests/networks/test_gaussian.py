"""Diagonal Gaussians: divergences against torch.distributions and integrals, combinations, draws."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Independent, Normal
from torch.distributions import kl_divergence as expected_divergence
from torch.nn import functional as F

from mtlrun.networks._gaussian import (
    LEAST_VARIANCE,
    Gaussian,
    kl_divergence,
    kl_to_combination,
    kl_to_mixture,
    kl_to_standard,
    root,
    standard_normal_like,
)
from mtlrun.networks._gaussian_linear import GaussianLinear, weights_of
from mtlrun.networks._softplus import softplus_squared
from tests.networks.gaussians import combination


def drawn(*shape: int, seed: int = 0, spread: float = 1.0) -> Gaussian:
    generator = torch.Generator().manual_seed(seed)
    mean = spread * torch.randn(shape, dtype=torch.float64, generator=generator)
    logs = torch.randn(shape, dtype=torch.float64, generator=generator)
    return Gaussian(mean, spread**2 * logs.exp())


def guarded(own: Gaussian) -> Independent:
    """As torch has it, with the variance that divergences take."""
    assert own.variance is not None
    return Independent(Normal(own.mean, (own.variance + LEAST_VARIANCE).sqrt()), 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([1e-4, 1e-2, 1.0, 1e3]))
def test_a_divergence_is_torchs_and_not_negative(seed: int, width: int, spread: float) -> None:
    one, other = (drawn(3, width, seed=seed + k, spread=spread) for k in (0, 1))
    found = kl_divergence(one, other)
    torch.testing.assert_close(
        found, expected_divergence(guarded(one), guarded(other)), rtol=1e-6, atol=1e-6
    )
    assert (found > 0).all()


def test_a_divergence_is_0_only_where_the_moments_are_equal() -> None:
    own = drawn(4, 3)
    assert own.variance is not None
    assert torch.equal(kl_divergence(own, own), torch.zeros(4, dtype=torch.float64))
    assert (kl_divergence(own, Gaussian(own.mean + 0.01, own.variance)) > 1e-6).all()
    assert (kl_divergence(own, Gaussian(own.mean, 1.01 * own.variance)) > 1e-6).all()


def test_a_divergence_from_n_0_1_is_the_closed_form() -> None:
    own = Gaussian(torch.tensor([[0.5, -1.0]]).double(), torch.tensor([[0.25, 4.0]]).double())
    found = kl_divergence(own, standard_normal_like(own))
    by_hand = 0.5 * (0.25 + 0.25 - 1 - math.log(0.25) + 4 + 1 - 1 - math.log(4.0))
    assert float(found) == pytest.approx(by_hand, abs=2e-5)  # the guard is 1e-6 of 0.25


def test_a_divergence_has_the_gradient_of_its_closed_form() -> None:
    one, other = drawn(2, 3), drawn(2, 3, seed=1)
    leaves = [
        own.clone().requires_grad_()
        for own in (one.mean, one.variance, other.mean, other.variance)
        if own is not None
    ]
    assert torch.autograd.gradcheck(
        lambda a, b, c, d: kl_divergence(Gaussian(a, b), Gaussian(c, d)), leaves
    )


def test_a_point_has_no_divergence() -> None:
    own = drawn(2, 3)
    point = Gaussian(own.mean, None)
    assert not kl_divergence(point, own).any()
    assert not kl_divergence(own, point).any()
    assert torch.equal(kl_to_standard(point), torch.zeros_like(kl_to_standard(own)))
    parts, shares = Gaussian(own.mean.unsqueeze(1), None), torch.ones(2, 1).double()
    assert not kl_to_mixture(own, parts, shares, own.draws(3)).any()
    assert not kl_to_combination(own, parts, shares).any()


@pytest.mark.parametrize("width", [1, 512])
@pytest.mark.parametrize(("shares", "a_number"), [((1.0, 0.0), 0.0), ((0.5, 0.5), 0.153426)])
def test_identical_posteriors_diverge_by_the_shrinking_of_the_variance(
    shares: tuple[float, float], a_number: float, width: int
) -> None:
    # algorithms: s = sum of squared weights; 0.5 d (ln s - 1 + 1 / s), 0.153426 d for (.5, .5)
    own = drawn(1, width)
    assert own.variance is not None
    own = Gaussian(own.mean, own.variance + 1.0)  # beside which the guard is nothing
    assert own.variance is not None
    parts = Gaussian(own.mean.expand(1, 2, width), own.variance.expand(1, 2, width))
    found = kl_to_combination(own, parts, torch.tensor([shares]).double())
    assert float(found) / width == pytest.approx(a_number, abs=2e-6)


def test_a_combination_has_the_moments_of_the_weighted_sum_of_draws() -> None:
    parts, shares = drawn(2, 3, 4), torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]]).double()
    found = combination(parts, shares)
    assert parts.variance is not None
    assert found.variance is not None
    draws = parts.draws(200_000, generator=torch.Generator().manual_seed(1))
    sums = (shares[..., None] * draws).sum(2)
    spread = found.variance.sqrt()
    assert ((sums.mean(0) - found.mean).abs() < 5 * spread / math.sqrt(200_000)).all()
    torch.testing.assert_close(sums.var(0), found.variance, rtol=0.02, atol=0)
    assert torch.equal(found.mean[1], parts.mean[1, 0])
    assert torch.equal(found.variance[1], parts.variance[1, 0])
    assert combination(Gaussian(parts.mean, None), shares).variance is None


@pytest.mark.parametrize("learned", [(0, 1, 2, 3, 4), (0, 1, 2), (0, 1), (0, 1, 3), (4,)])
@pytest.mark.parametrize("spread", [1e-5, 1.0, 1e5])
def test_a_divergence_from_a_combination_is_that_from_its_gaussian_with_all_gradients(
    learned: tuple[int, ...], spread: float
) -> None:
    own, parts = drawn(2, 5, 4, spread=spread), drawn(2, 3, 5, 4, seed=1, spread=spread)
    shares = torch.rand(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    values = [own.mean, own.variance, shares, parts.mean, parts.variance]
    leaves = [v.requires_grad_() for k in learned if (v := values[k]) is not None]
    found = kl_to_combination(own, parts, shares, scale=0.25)
    expected = kl_divergence(own, combination(parts, shares)).sum(1) / 4
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.tensor([0.7, -1.3], dtype=torch.float64)
    of_found, of_expected = (
        torch.autograd.grad((weights * which).sum(), leaves) for which in (found, expected)
    )
    for gradient, value in zip(of_found, of_expected, strict=True):
        largest = float(value.abs().max())
        torch.testing.assert_close(gradient, value, rtol=0, atol=1e-10 * largest)


def test_a_small_divergence_from_a_combination_keeps_its_digits() -> None:
    own = drawn(1, 512)
    assert own.variance is not None
    values = own.mean, own.variance, own.mean[None] + 1e-4, own.variance[None] * 1.0001
    rounded, found = [v.float() for v in values], []
    for dtype in (torch.float32, torch.float64):
        mean, variance, of_part, spread = (v.to(dtype) for v in rounded)
        posterior, part = Gaussian(mean, variance), Gaussian(of_part, spread)
        found.append(kl_to_combination(posterior, part, torch.ones(1, 1, dtype=dtype)))
    torch.testing.assert_close(found[0].double(), found[1], rtol=0.01, atol=0)
    assert 0 < float(found[1]) < 1e-4  # beside terms of 1


def test_a_divergence_from_a_combination_is_float32_under_autocast() -> None:
    own, parts = drawn(1, 4), drawn(1, 2, 4, seed=1)
    assert own.variance is not None
    assert parts.variance is not None
    own, parts = (
        Gaussian(g.mean.float(), g.variance.float()) for g in (own, parts) if g.variance is not None
    )
    shares = torch.full((1, 2), 0.5, requires_grad=True)
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            divergence = kl_to_combination(own, parts, shares)
            found.append([divergence, *torch.autograd.grad(divergence.sum(), shares)])
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def integral(own: Gaussian, parts: Gaussian, shares: Tensor) -> Tensor:
    """KL to a mixture in one dimension, by the trapezoid rule; of [1, 1] and [1, N, 1]."""
    x = torch.linspace(-40, 40, 200_001, dtype=torch.float64)
    p = guarded(own).log_prob(x[:, None, None]).squeeze(1)
    of_parts = guarded(parts).log_prob(x[:, None, None, None])  # [X, 1, N]
    q = torch.logsumexp(of_parts + shares.log(), 2).squeeze(1)
    return torch.trapezoid(p.squeeze().exp() * (p.squeeze() - q), x)


def test_a_divergence_from_a_mixture_is_the_integral() -> None:
    own = Gaussian(torch.tensor([[0.3]]).double(), torch.tensor([[0.8]]).double())
    parts = Gaussian(
        torch.tensor([[[-1.0], [2.0]]]).double(), torch.tensor([[[0.5], [1.5]]]).double()
    )
    shares = torch.tensor([[0.7, 0.3]]).double()
    draws = own.draws(400_000, generator=torch.Generator().manual_seed(0))
    found = kl_to_mixture(own, parts, shares, draws)
    assert float(found) == pytest.approx(float(integral(own, parts, shares)), abs=5e-3)


def test_a_mixture_of_one_part_is_the_plain_divergence() -> None:
    own, other = drawn(2, 3), drawn(2, 3, seed=1)
    assert other.variance is not None
    parts = Gaussian(other.mean.unsqueeze(1), other.variance.unsqueeze(1))
    draws = own.draws(200_000, generator=torch.Generator().manual_seed(0))
    found = kl_to_mixture(own, parts, torch.ones(2, 1).double(), draws)
    torch.testing.assert_close(found, kl_divergence(own, other), rtol=0.02, atol=0)
    # A mixture of several equal parts is that part, whatever the weights: the same draws, the same number.
    assert parts.variance is not None
    thrice = Gaussian(parts.mean.expand(2, 3, 3), parts.variance.expand(2, 3, 3))
    shares = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]]).double()
    torch.testing.assert_close(kl_to_mixture(own, thrice, shares, draws), found)


def test_a_mixture_takes_parts_of_further_axes() -> None:
    own, parts = drawn(2, 5, 3), drawn(2, 4, 5, 3, seed=1)
    shares = torch.rand(2, 4, generator=torch.Generator().manual_seed(2)).double()
    shares /= shares.sum(1, keepdim=True)
    draws = own.draws(7, generator=torch.Generator().manual_seed(3))
    found = kl_to_mixture(own, parts, shares, draws)
    assert found.shape == (2, 5)
    one = kl_to_mixture(
        _column(own, 2),
        Gaussian(parts.mean[:, :, 2], None if parts.variance is None else parts.variance[:, :, 2]),
        shares,
        draws[:, :, 2],
    )
    torch.testing.assert_close(found[:, 2], one)


def _column(own: Gaussian, place: int) -> Gaussian:
    assert own.variance is not None
    return Gaussian(own.mean[:, place], own.variance[:, place])


def test_a_linear_layers_output_has_the_moments_of_drawn_weights() -> None:
    torch.manual_seed(0)
    layer = GaussianLinear(3, 2, bayesian=True).double()
    inputs = torch.randn(4, 3).double()
    found = layer(inputs)
    weights = weights_of([layer])[0].draws(200_000)  # [S, E, D]
    bias = Gaussian(layer.bias, F.softplus(layer.bias_rho).square()).draws(200_000)
    outputs = torch.einsum("sed,bd->sbe", weights, inputs) + bias.unsqueeze(1)
    spread = found.variance.sqrt()
    assert ((outputs.mean(0) - found.mean).abs() < 5 * spread / math.sqrt(200_000)).all()
    torch.testing.assert_close(outputs.var(0), found.variance, rtol=0.02, atol=0)
    # Draws of the output itself have the same moments.
    own = found.draws(200_000)
    assert ((own.mean(0) - found.mean).abs() < 5 * spread / math.sqrt(200_000)).all()
    torch.testing.assert_close(own.var(0), found.variance, rtol=0.02, atol=0)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("bayesian", [True, False])
def test_weights_are_the_layers_with_and_without_a_graph(count: int, bayesian: bool) -> None:
    layers = [GaussianLinear(4, 2, bayesian=bayesian, bias=False) for _ in range(count)]
    expected = torch.stack([layer.mean for layer in layers])
    spreads = [softplus_squared(layer.rho) for layer in layers if layer.rho is not None]
    for with_graph in (True, False):
        with torch.set_grad_enabled(with_graph):
            found = weights_of(layers)
        assert torch.equal(found.mean, expected)
        assert (found.mean.grad_fn is not None) == with_graph
        assert (found.variance is not None) == bayesian
        if found.variance is not None:
            assert torch.equal(found.variance, torch.stack(spreads))


def test_initial_values_are_the_released_programs() -> None:
    torch.manual_seed(0)
    layer = GaussianLinear(200, 100, bayesian=True)
    assert layer.rho is not None
    for values, mean in ((layer.mean.detach(), 0.0), (layer.rho.detach(), -3.0)):
        assert float(values.mean()) == pytest.approx(mean, abs=0.003)
        assert float(values.std()) == pytest.approx(0.1, rel=0.03)
    point = GaussianLinear(3, 2, bayesian=False, bias=False)
    assert dict(point.named_parameters()).keys() == {"mean"}
    assert point(torch.randn(1, 3)).variance is None


def test_a_deviation_has_a_finite_gradient_at_0() -> None:
    variance = torch.zeros(2, requires_grad=True)
    root(variance).sum().backward()
    assert variance.grad is not None
    assert variance.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_variances_are_squares_of_softplus_to_the_last_digits(dtype: torch.dtype) -> None:
    rho = torch.cat([torch.linspace(-80, 80, 2001), torch.tensor([-300.0, 0.0, 300.0])])
    own, exact = (rho.to(own, copy=True).requires_grad_() for own in (dtype, torch.float64))
    found, expected = softplus_squared(own), F.softplus(exact, threshold=1e3).square()
    found.backward(torch.full_like(found, 0.5))
    expected.backward(torch.full_like(expected, 0.5))
    assert own.grad is not None
    assert exact.grad is not None
    closeness = {"rtol": 1e-5 if dtype == torch.float32 else 1e-13, "atol": 1e-37}
    torch.testing.assert_close(found.double(), expected, **closeness)
    torch.testing.assert_close(own.grad.double(), exact.grad, **closeness)
