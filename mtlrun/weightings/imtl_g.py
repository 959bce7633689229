"""The gradient part of impartial multi-task learning."""

import torch
from torch import Tensor
from torchjd.aggregation import IMTLGWeighting

from mtlrun.core.weighting import GramianWeighting


class IMTLG(GramianWeighting):
    """Weights under which the combined gradient has the same projection onto every task's gradient.

    Source: Liu et al., Towards Impartial Multi-task Learning, ICLR 2021 (IMTL-G), in the form
    that dependent gradients have too (torchjd's pseudo-inverse of the Gramian).
    Differs: solved on unit gradients, so that scales far apart lose no digits; a zero gradient has
    weight 0 and is not counted. The paper compares gradients of the features
    (`grad_on=features`), LibMTL those of the parameters.

    Args:
        grad_on: Of which gradients.
    """

    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """[T] of sum 1, not always positive; 0 where no direction has such projections."""
        return equal_projections(gramian)


def equal_projections(gramian: Tensor) -> Tensor:
    """[T] weights of sum 1 whose combination projects alike on all unit gradients, from [T, T].

    Solved on CPU, where the small matrix is read once.
    """
    products = gramian.cpu()
    norms = products.diagonal().clamp_min(0).sqrt()
    counted = norms > 0
    weights = torch.zeros_like(norms)
    if not bool(counted.any()):
        return (weights + 1 / len(norms)).to(gramian.device)
    kept = norms[counted]
    cosines = products[counted][:, counted] / (kept[:, None] * kept)
    found = IMTLGWeighting()(cosines) / kept
    weights[counted] = found / (1.0 if float(found.sum().abs()) < 1e-12 else found.sum())
    return weights.to(gramian.device)
