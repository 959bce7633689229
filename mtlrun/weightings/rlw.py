"""Random weights."""

import torch
from torch import Tensor

from mtlrun.core.weighting import LossWeighting, own_generator


class RLW(LossWeighting):
    """Random loss weighting: every step the softmax of T draws from a standard normal.

    Source: Lin et al., Reasonable Effectiveness of Random Weighting, TMLR 2022, arXiv:2111.10603,
    with the normal distribution.
    """

    def __init__(self) -> None:
        self.generator: torch.Generator = own_generator()

    def weights(self, losses: Tensor) -> Tensor:
        """[T] of sum 1."""
        return torch.randn(len(losses), generator=self.generator).softmax(0).to(losses)
