"""Gradients brought to one system of orthogonal directions of equal length."""

from typing import Literal

from torch import Tensor
from torchjd.aggregation import AlignedMTLWeighting

from mtlrun.core.weighting import GradOn, GramianWeighting


class AlignedMTL(GramianWeighting):
    """Scales the singular values of the gradients' matrix to one value: condition number 1 afterwards.

    Source: Senushkin et al., Independent Component Alignment for Multi-Task Learning, CVPR 2023,
    arXiv:2305.19000, Algorithm 1, as torchjd computes it from the Gramian.
    Differs: the tasks weigh 1 / T each, as in torchjd.

    Args:
        grad_on: Of which gradients.
        scale: The common singular value: "min" the least of them, "median", or "rmse" the root of
            the mean square.
    """

    def __init__(
        self, *, grad_on: GradOn = "parameters", scale: Literal["min", "median", "rmse"] = "min"
    ) -> None:
        super().__init__(grad_on=grad_on)
        self.scale: Literal["min", "median", "rmse"] = scale

    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """[T] of the plain gradients."""
        products = gramian.cpu()
        return AlignedMTLWeighting(scale_mode=self.scale)(products).to(gramian.device)
