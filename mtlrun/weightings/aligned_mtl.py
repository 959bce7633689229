"""Gradients brought to one system of orthogonal directions of equal length."""

from typing import Literal

import torch
from torch import Tensor

from mtlrun.core.weighting import GradOn, GramianWeighting

Scale = Literal["min", "median", "rmse"]


class AlignedMTL(GramianWeighting):
    """Scales the singular values of the gradients' matrix to one value: condition number 1 afterwards.

    Source: Senushkin et al., Independent Component Alignment for Multi-Task Learning, CVPR 2023,
    arXiv:2305.19000, Algorithm 1.
    Differs: the tasks weigh 1 / T each, as in torchjd; LibMTL sums them. torchjd decomposes the
    Gramian itself, where a gradient 1e8 times shorter than another is lost; here a factor of the
    unit gradients' Gramian, scaled back.

    Args:
        grad_on: Of which gradients.
        scale: The common singular value: "min" the least of them, "median", or "rmse" the root of
            the mean square.
    """

    def __init__(self, *, grad_on: GradOn = "parameters", scale: Scale = "min") -> None:
        super().__init__(grad_on=grad_on)
        self.scale: Scale = scale

    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """[T] of the plain gradients."""
        return aligned(gramian.cpu(), self.scale).to(gramian.device)


def aligned(gramian: Tensor, scale: Scale) -> Tensor:
    """[T] the weights whose combination is the mean row of c U V', from G G' with G = U S V'.

    With N the norms and N^-1 G G' N^-1 = E L E', the factor F = N E L^1/2 has the gradients as
    its rows in an orthonormal basis of their span [T, R], so its U and S are those of G.

    Args:
        gramian: [T, T].
        scale: What c is of the R singular values.
    """
    size = len(gramian)
    norms = gramian.diagonal().clamp_min(0).sqrt()
    inverse = torch.where(norms > 0, 1 / norms, 0.0)
    eigenvalues, vectors = torch.linalg.eigh(inverse[:, None] * gramian * inverse)
    kept = eigenvalues > eigenvalues.max() * size * torch.finfo(gramian.dtype).eps
    if not kept.any():
        return torch.full_like(norms, 1 / size)
    roots, vectors = eigenvalues[kept].sqrt(), vectors[:, kept]
    left, values, right = torch.linalg.svd(norms[:, None] * vectors * roots, full_matrices=False)
    common = {
        "min": values.min(),
        "median": values.median(),
        "rmse": values.square().mean().sqrt(),
    }[scale]
    row = common * (left @ right).mean(0)  # [R]
    found: Tensor = inverse * (vectors @ (row / roots))
    return found
