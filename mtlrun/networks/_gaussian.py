"""Diagonal Gaussians: draws and divergences."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LEAST_VARIANCE = 1e-6  # added to both variances of a divergence, as the released program does


@dataclass(frozen=True)
class Gaussian:
    """Independent normal variables, or points.

    Attributes:
        mean: [..., D].
        variance: [..., D]; None for a point, which has no spread.
    """

    mean: Tensor
    variance: Tensor | None

    def draws(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """[S, ..., D] values; one row, the mean, of a point.

        Args:
            count: S.
            generator: On the mean's device; None for torch's own.
        """
        if self.variance is None:
            return self.mean.unsqueeze(0)
        mean = self.mean
        noise = torch.randn(
            (count, *mean.shape), dtype=mean.dtype, device=mean.device, generator=generator
        )
        return torch.addcmul(mean, root(self.variance), noise)

    def detach(self) -> "Gaussian":
        """The same without the graph that leads to it."""
        return Gaussian(
            self.mean.detach(), None if self.variance is None else self.variance.detach()
        )

    def __getitem__(self, index: int | slice | Tensor | None) -> "Gaussian":
        return Gaussian(self.mean[index], None if self.variance is None else self.variance[index])


def concatenated(parts: Sequence[Gaussian], *, dim: int = 0) -> Gaussian:
    """Along an axis; all with variances, or all points."""
    if len(parts) == 1:
        return parts[0]
    variances = [part.variance for part in parts if part.variance is not None]
    mean = torch.cat([part.mean for part in parts], dim)
    return Gaussian(mean, torch.cat(variances, dim) if variances else None)


def root(variance: Tensor) -> Tensor:
    """Standard deviations, with a finite gradient at 0."""
    return variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()


def least_root(dtype: torch.dtype) -> float:
    """`root` of 0, whose gradient is 0."""
    return math.sqrt(torch.finfo(dtype).tiny)


def without_autocast(like: Tensor) -> AbstractContextManager[object]:
    """The context in which operations are of the type of what they are given, on a tensor's device."""
    kind = like.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


def standard_normal_like(own: Gaussian) -> Gaussian:
    """N(0, I) of the same shape."""
    return Gaussian(torch.zeros_like(own.mean), torch.ones_like(own.mean))


def kl_divergence(posterior: Gaussian, prior: Gaussian) -> Tensor:
    """KL(posterior || prior), summed over the last axis: [...]; 0 where one of the two is a point.

    Both variances get `LEAST_VARIANCE`.
    """
    if posterior.variance is None or prior.variance is None:
        return posterior.mean.new_zeros(posterior.mean.shape[:-1])
    other = prior.variance + LEAST_VARIANCE
    ratio = (posterior.variance + LEAST_VARIANCE) / other
    shift = (posterior.mean - prior.mean).square()
    terms = torch.addcdiv(ratio - ratio.log(), shift, other)
    return 0.5 * (terms.sum(-1) - terms.shape[-1])


def kl_to_standard(own: Gaussian) -> Tensor:
    """`kl_divergence` of N(0, I)."""
    if own.variance is None:
        return own.mean.new_zeros(own.mean.shape[:-1])
    return kl_divergence(own, standard_normal_like(own))


def kl_to_combination(
    posterior: Gaussian, parts: Gaussian, weights: Tensor, *, scale: float = 1.0
) -> Tensor:
    """`kl_divergence` of a posterior and of sum_n weights[k, n] x_n, summed over all axes but the first: [K].

    All x_n are independent and distributed as the parts.

    Source: Shen et al., VMTL, the priors with Gumbel-softmax weights. The sum is one Gaussian, not a
    mixture: variances get weights squared. Walked back by hand, in fewer operations; under
    autocast too it is of the type of the posterior, but its sums over parts are matrix products, which
    `trainer.precision=tf32` rounds.

    Args:
        posterior: [K, ..., D].
        parts: [K, N, ..., D].
        weights: [K, N].
        scale: What the sums are multiplied by.
    """
    if posterior.variance is None or parts.variance is None:
        return posterior.mean.new_zeros(len(posterior.mean))
    with without_autocast(posterior.mean):
        found: Tensor = _ToCombination.apply(
            posterior.mean,
            posterior.variance,
            parts.mean,
            parts.variance,
            weights.to(posterior.mean.dtype),
            scale / 2,
        )
    return found


class _ToCombination(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any,
        mean: Tensor,
        variance: Tensor,
        means: Tensor,
        variances: Tensor,
        weights: Tensor,
        factor: float,
    ) -> Tensor:
        row = weights.unsqueeze(1)  # [K, 1, N]
        shift = mean - torch.bmm(row, means.flatten(2)).view_as(mean)
        other = torch.bmm(row * row, variances.flatten(2)).view_as(mean).add_(LEAST_VARIANCE)
        own = variance + LEAST_VARIANCE
        ratio = own / other
        excess, pull = ratio - 1, shift / other
        terms = (excess - ratio.log_()).addcmul_(shift, pull)
        parts = (means, variances) if ctx.needs_input_grad[4] else (None, None)
        ctx.save_for_backward(weights, own, other, excess, pull, *parts)
        ctx.factor = factor
        return terms.flatten(1).sum(1).mul_(factor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Of mean and variance, the parts' means and variances, and the weights."""
        weights, own, other, excess, pull, means, variances = ctx.saved_tensors
        _, _, *of_parts, of_mixing, _ = ctx.needs_input_grad
        gradient = gradients[0].view(-1, *[1] * (pull.dim() - 1)) * ctx.factor
        of_mean = (pull * gradient).mul_(2)
        of_variance = (excess / own).mul_(gradient)
        of_means = of_variances = of_weights = None
        if of_mixing or any(of_parts):
            lack = (excess / other).addcmul_(pull, pull)  # of the other variance, by -gradient
        if any(of_parts):
            wide = weights.view(*weights.shape, *[1] * (pull.dim() - 1))
            of_means = -wide * of_mean.unsqueeze(1)
            of_variances = -wide.square() * (lack * gradient).unsqueeze(1)
        if of_mixing:
            with without_autocast(means):
                by_mean = torch.bmm(means.flatten(2), pull.flatten(1).unsqueeze(-1))  # [K, N, 1]
                by_variance = torch.bmm(variances.flatten(2), lack.flatten(1).unsqueeze(-1))
            both = torch.addcmul(by_mean.squeeze(-1), by_variance.squeeze(-1), weights)
            of_weights = both.mul_(gradient.view(-1, 1)).mul_(-2)
        return of_mean, of_variance, of_means, of_variances, of_weights, None


def kl_to_mixture(posterior: Gaussian, parts: Gaussian, weights: Tensor, draws: Tensor) -> Tensor:
    """KL(posterior || sum_n weights[k, n] parts[k, n]), estimated by draws of the posterior: [K, ...].

    Args:
        posterior: [K, ..., D].
        parts: [K, N, ..., D].
        weights: [K, N], positive.
        draws: [S, K, ..., D] of the posterior, with the graph that leads to them.
    """
    if posterior.variance is None or parts.variance is None:
        return posterior.mean.new_zeros(posterior.mean.shape[:-1])
    own = _log_density(draws, posterior.mean, posterior.variance)
    of_parts = _log_density(draws.unsqueeze(2), parts.mean, parts.variance)  # [S, K, N, ...]
    logs = weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
    wide = logs.view(*logs.shape, *[1] * (of_parts.dim() - 3))
    return (own - torch.logsumexp(of_parts + wide, 2)).mean(0)


def _log_density(values: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Of a diagonal Gaussian, summed over the last axis."""
    spread = variance + LEAST_VARIANCE
    squares = (values - mean).square() / spread
    return -0.5 * (squares + spread.log() + math.log(2 * math.pi)).sum(-1)
