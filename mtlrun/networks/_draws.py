"""Logits of drawn representations and drawn classifiers."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from mtlrun.networks._gaussian import Gaussian, least_root, root, without_autocast


def paired_logits(posterior: Gaussian, weights: Gaussian, count: int) -> Tensor:
    """Logits [S, K, B, C] of S draws of z, every row with a classifier of its own draw.

    Given a row of z, its logits are independent and normal, so they are drawn themselves: the same
    distribution as that of drawn classifiers, without S K B of them. Under autocast too they are of
    the type of what is given: squares and quotients of variances take more than 8 bits.

    Args:
        posterior: Of z, [K, B, D].
        weights: [K, C, D], or [K, C, D + 1] with a bias behind.
        count: S, draws of those that are no points; one where both are.
    """
    own = with_bias(posterior, weights)
    if weights.variance is None:
        return product_logits(own.draws(count), weights, 1)
    with without_autocast(own.mean):
        found: Tensor = _Paired.apply(own.mean, own.variance, weights.mean, weights.variance, count)
    return found


def product_logits(
    latents: Tensor, weights: Gaussian, count: int, *, generator: torch.Generator | None = None
) -> Tensor:
    """Logits [M L, K, B, C] of rows of z with each of M draws of classifiers.

    Args:
        latents: [L, K, B, D], with a one behind where the weights have a bias.
        weights: [K, C, D].
        count: M; one of a point.
        generator: On the weights' device; None for torch's own.
    """
    rows = latents.transpose(0, 1).flatten(1, 2)  # [K, L B, D]
    drawn = weights.draws(count, generator=generator)  # [M, K, C, D]
    columns = drawn.permute(1, 3, 0, 2).flatten(2)  # [K, D, M C]
    shape = (len(rows), len(latents), -1, len(drawn), weights.mean.shape[1])
    return (rows @ columns).view(shape).permute(3, 1, 0, 2, 4).flatten(0, 1)


def with_bias(latents: Gaussian, weights: Gaussian) -> Gaussian:
    """Latents with a one behind where the weights have a bias, which stands behind them."""
    if weights.mean.shape[-1] == latents.mean.shape[-1]:
        return latents
    spread = None if latents.variance is None else F.pad(latents.variance, (0, 1))
    return Gaussian(F.pad(latents.mean, (0, 1), value=1.0), spread)


class _Paired(torch.autograd.Function):
    """Draws the logits of drawn rows; on the way back one buffer of noise is known, the rows are made again.

    Large buffers are written in place: new ones cost more than the arithmetic.
    """

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any,
        mean: Tensor,
        variance: Tensor | None,
        weight: Tensor,
        weight_variance: Tensor,
        count: int,
    ) -> Tensor:
        """[S, K, B, C]; in memory the axes are [K, S, B, C], one matrix product a task."""
        noise = deviation = None
        if variance is not None:
            deviation = root(variance)
            shape = (len(mean), count, *mean.shape[1:])
            noise = torch.randn(shape, dtype=mean.dtype, device=mean.device)
        rows = _rows(mean, deviation, noise, count)
        logits = torch.bmm(rows, weight.transpose(1, 2))
        spread = root(torch.bmm(rows.mul_(rows), weight_variance.transpose(1, 2)))
        own = torch.randn_like(spread)
        logits.addcmul_(spread, own)
        ctx.save_for_backward(mean, deviation, weight, weight_variance, noise, spread, own)
        ctx.count = count
        return logits.view(len(mean), count, mean.shape[1], -1).transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Of mean, variance, weight and its variance."""
        mean, deviation, weight, weight_variance, noise, spread, own = ctx.saved_tensors
        first = gradients[0].transpose(0, 1).flatten(1, 2)  # [K, S B, C]
        second = (first * own).div_(spread)  # twice the gradient of the spread's square
        rows = _rows(mean, deviation, noise, ctx.count)
        of_weight = torch.bmm(first.transpose(1, 2), rows)
        found = torch.bmm(second, weight_variance).mul_(rows).baddbmm_(first, weight)
        of_weight_variance = torch.empty_like(weight_variance)
        of_weight_variance.baddbmm_(second.transpose(1, 2), rows.mul_(rows), beta=0, alpha=0.5)
        found = found.view(len(mean), ctx.count, *mean.shape[1:])
        of_mean = found.sum(1)
        of_variance = None
        if noise is not None:
            of_variance = found.mul_(noise).sum(1).div_(deviation).mul_(0.5)
            of_variance.masked_fill_(deviation <= least_root(deviation.dtype), 0)  # as of `root`
        return of_mean, of_variance, of_weight, of_weight_variance, None


def _rows(mean: Tensor, deviation: Tensor | None, noise: Tensor | None, count: int) -> Tensor:
    """[K, S B, D] draws of z, in a buffer of their own."""
    if deviation is None or noise is None:
        return mean.repeat(1, count, 1)
    return torch.addcmul(mean.unsqueeze(1), deviation.unsqueeze(1), noise).flatten(1, 2)
