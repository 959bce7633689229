"""The least vector among the convex combinations of the gradients."""

from typing import Literal

import torch
from torch import Tensor
from torchjd.aggregation import MGDAWeighting

from mtlrun.core.weighting import GradOn, GramianWeighting


class MGDA(GramianWeighting):
    """Multiple-gradient descent: the point of least norm in the convex hull of the gradients.

    Source: Desideri, Comptes Rendus Mathematique 350, 2012; Sener and Koltun, Multi-Task Learning
    as Multi-Objective Optimization, NeurIPS 2018, arXiv:1810.04650, Algorithm 2 (Frank-Wolfe),
    as torchjd computes it from the Gramian. MGDA-UB, of the features, is `grad_on=features`.
    Differs: stops by the step length (torchjd), where LibMTL compares successive weights.

    Args:
        grad_on: Of which gradients.
        normalization: Which gradients the hull is of: "none" plain ones, "l2" over their norms,
            "loss" over the losses, "loss+" over both. The weights apply to the plain ones.
        max_iterations: Of Frank-Wolfe.
        tolerance: The step length, in (0, 1], below which it stops.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        *,
        grad_on: GradOn = "parameters",
        normalization: Literal["none", "l2", "loss", "loss+"] = "none",
        max_iterations: int = 250,
        tolerance: float = 1e-3,
    ) -> None:
        if max_iterations < 1 or not 0 < tolerance <= 1:
            raise ValueError(
                f"`max_iterations` should be at least 1 and `tolerance` in (0, 1]. Found "
                f"`max_iterations = {max_iterations}`, `tolerance = {tolerance}`. Set "
                f"weighting.max_iterations and weighting.tolerance."
            )
        super().__init__(grad_on=grad_on)
        self.normalization = normalization
        self.max_iterations, self.tolerance = max_iterations, tolerance

    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """[T] not negative, of sum 1."""
        scales = torch.ones_like(gramian.diagonal())
        if "loss" in self.normalization:
            scales = scales / self.positive(losses).to(scales)
        if self.normalization in ("l2", "loss+"):
            norms = gramian.diagonal().clamp_min(0).sqrt()
            scales = torch.where(norms > 0, scales / norms, scales)
        products = (scales[:, None] * gramian * scales).cpu()
        largest = products.diagonal().max()
        solve = MGDAWeighting(epsilon=self.tolerance, max_iters=self.max_iterations)
        return solve(products / largest if largest > 0 else products).to(gramian.device)
