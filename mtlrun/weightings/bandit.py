"""Weights of an adversary who prefers large losses, kept near even ones."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from mtlrun.core.weighting import LossWeighting


class Bandit(LossWeighting):
    """BanditMTL: mirror ascent of weights p to the largest losses, with KL(p, even) at most rho.

    Source: Mao et al., BanditMTL: Bandit-based Multi-task Learning for Text Classification, ACL
    2021; "Bandit-MTL" in PTG's tables, whose program has the same defaults.
    Differs: PTG's program moves p by the losses times p, here by the losses, as the mirror step of
    the sum of p_t L_t does.

    Args:
        rho: The largest divergence from even weights; no limit from ln T on.
        rate: eta, of the exponent: p_t grows by exp(eta L_t) before it is normalised.

    Raises:
        ValueError: If rho or the rate is not positive, or the rate not finite.
    """

    kept: ClassVar[tuple[str, ...]] = ("log_shares",)

    def __init__(self, *, rho: float = 1.2, rate: float = 0.5) -> None:
        if not (rho > 0 and 0 < rate < math.inf):
            raise ValueError(
                f"`rho` and `rate` should be positive, `rate` finite. Found `rho = {rho}`, `rate = {rate}`. Set "
                f"weighting.rho and weighting.rate."
            )
        self.rho, self.rate = rho, rate
        self.log_shares: Tensor | None = None  # [T] float64, on CPU

    def weights(self, losses: Tensor) -> Tensor:
        """[T] of sum 1; those of the next step follow from this one's losses."""
        if self.log_shares is None:
            self.log_shares = torch.full(
                (len(losses),), -math.log(len(losses)), dtype=torch.float64
            )
        known = self.log_shares.cpu()  # a state read onto an accelerator lies there
        self.log_shares = within(known + self.rate * losses.cpu().double(), self.rho)
        return known.exp().to(losses)


def within(logits: Tensor, rho: float) -> Tensor:
    """[T] logarithms of the shares nearest to a softmax whose divergence from even ones is at most rho.

    They are those of softmax(s logits) with the largest s in [0, 1] that is within: the divergence
    grows with s.

    Args:
        logits: [T], on CPU, which the many comparisons would wait for elsewhere.
        rho: The limit.
    """

    def divergence(shares: Tensor) -> float:
        return math.log(len(shares)) + float((shares.exp() * shares).sum())

    found = logits.log_softmax(0)
    if divergence(found) <= rho:
        return found
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if divergence((middle * logits).log_softmax(0)) <= rho:
            low = middle
        else:
            high = middle
    return (low * logits).log_softmax(0)
