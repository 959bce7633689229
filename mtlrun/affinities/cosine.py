"""Cosine similarity of the tasks' gradients."""

from typing import Any

import torch
from torch import Tensor

from mtlrun.affinities._collector import MeanCollector, Observation, relative_rounding
from mtlrun.affinities._trace import without_trace
from mtlrun.affinities._virtual import computing_type
from mtlrun.core.gradients import gramian, shared_pass
from mtlrun.core.method import TrainingPoint


class CosineCollector(MeanCollector):
    """The cosine between the tasks' gradients of the shared parameters, averaged over batches.

    Symmetric, in [-1, 1], 1 on the diagonal; 0 where a gradient is zero.

    Source: Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning, NeurIPS
        2021, arXiv:2109.04617, baseline CS, with the parameters that its program counts.
    Differs: a mean over all batches, where the program sums the epochs' means.

    Args:
        every: Batches from one that is looked at to the next.
        matrices_only: Whether only parameters of two dimensions or more count, so that biases and
            the scales of norm layers do not.
    """

    def __init__(self, *, every: int = 1, matrices_only: bool = True) -> None:
        super().__init__("cosine", every=every)
        self.matrices_only = matrices_only

    def describe(self) -> dict[str, Any]:
        """The settings that the values depend on."""
        return {"matrices_only": self.matrices_only}

    def look(self, point: TrainingPoint) -> Observation:
        """The cosines of one batch."""
        with without_trace(point):
            autocast = point.settings.autocast(next(point.model.parameters()).device)
            forward = shared_pass(
                point.model, point.tasks, point.batch, autocast=autocast, heads=False, layers=True
            )
            counted = [p for p in forward.parameters if p.dim() > 1 or not self.matrices_only]
            values = cosines(gramian(forward, parameters=counted).cpu())
        noise = relative_rounding(computing_type(point))
        return Observation(values, torch.ones_like(values, dtype=torch.bool), noise)


def cosines(products: Tensor) -> Tensor:
    """[T, T] cosines from inner products [T, T]; 0 where a vector is zero."""
    norms = products.diagonal().clamp(min=0).sqrt()
    scale = torch.where(norms > 0, 1 / norms, 0.0)
    values = (products * scale[:, None] * scale).clamp(-1, 1)
    return values.fill_diagonal_(1.0).where((norms > 0)[:, None] & (norms > 0), 0.0)
