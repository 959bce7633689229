"""Gradient surgery."""

import torch
from torch import Tensor
from torchjd.aggregation import PCGradWeighting

from mtlrun.core.weighting import GradOn, GramianWeighting, own_generator


class PCGrad(GramianWeighting):
    """Projects each task's gradient off those it conflicts with, in random order, and sums.

    Source: Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, arXiv:2001.06782,
    Algorithm 1, as torchjd computes it from the Gramian. With T = 2 no conflict is left.
    Differs: no epsilon in the denominator (LibMTL adds 1e-8); a zero gradient conflicts with none.

    Args:
        grad_on: Of which gradients.
    """

    def __init__(self, *, grad_on: GradOn = "parameters") -> None:
        super().__init__(grad_on=grad_on)
        self.generator: torch.Generator = own_generator()

    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """[T] how often each gradient is in the sum."""
        state = torch.get_rng_state()
        torch.set_rng_state(self.generator.get_state())  # torchjd draws from torch's own generator
        weights = PCGradWeighting()(gramian.cpu())
        self.generator.set_state(torch.get_rng_state())
        torch.set_rng_state(state)
        return weights.to(gramian.device)
