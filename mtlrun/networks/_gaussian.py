"""Diagonal Gaussians: draws, combinations, divergences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

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
    variances = [part.variance for part in parts if part.variance is not None]
    mean = torch.cat([part.mean for part in parts], dim)
    return Gaussian(mean, torch.cat(variances, dim) if variances else None)


def root(variance: Tensor) -> Tensor:
    """Standard deviations, with a finite gradient at 0."""
    return variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()


def combination(parts: Gaussian, weights: Tensor) -> Gaussian:
    """The distribution of sum_n weights[k, n] x_n, where x_n are independent and distributed as the parts.

    Source: Shen et al., VMTL, the priors with Gumbel-softmax weights. It is one Gaussian, not a mixture: variances get
    weights squared.

    Args:
        parts: [K, N, ..., D].
        weights: [K, N].

    Returns:
        [K, ..., D].
    """
    wide = weights.view(*weights.shape, *[1] * (parts.mean.dim() - 2))
    mean = (wide * parts.mean).sum(1)
    if parts.variance is None:
        return Gaussian(mean, None)
    return Gaussian(mean, (wide.square() * parts.variance).sum(1))


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
