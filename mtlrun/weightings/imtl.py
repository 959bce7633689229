"""Impartial multi-task learning, both parts."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtlrun.core.batch import TaskName
from mtlrun.core.weighting import GradOn, GramianWeighting
from mtlrun.weightings.imtl_g import equal_projections
from mtlrun.weightings.imtl_l import IMTLL


class IMTL(GramianWeighting):
    """Learned scales of the losses (IMTL-L), then equal projections of their gradients (IMTL-G).

    Source: Liu et al., Towards Impartial Multi-task Learning, ICLR 2021.
    Differs: the paper compares gradients of the features (`grad_on=features`), LibMTL those of the
    parameters.

    The tasks' own parameters get the gradients of the scaled losses.

    Args:
        grad_on: Of which gradients.
    """

    def __init__(self, *, grad_on: GradOn = "parameters") -> None:
        super().__init__(grad_on=grad_on)
        self.scaling = IMTLL()

    def setup(self, tasks: Sequence[TaskName], device: torch.device) -> None:
        """Makes the scales."""
        super().setup(tasks, device)
        self.scaling.setup(tasks, device)
        self.module = self.scaling.module

    def objective(self, losses: Tensor) -> Tensor:
        """What the scales' exponents minimise."""
        return self.scaling.objective(losses)

    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """[T] of the gradients of the losses before they are scaled."""
        scales = self.scaling.weights(losses).to(gramian)
        return scales * equal_projections(scales[:, None] * gramian * scales)

    def head_weights(self, weights: Tensor) -> Tensor:
        """[T] the scales."""
        return self.scaling.weights(weights)
