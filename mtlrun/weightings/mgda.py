"""The least vector among the convex combinations of the gradients."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mtlrun.core.weighting import GradOn, GramianWeighting

Array = np.ndarray[Any, np.dtype[np.float64]]


class MGDA(GramianWeighting):
    """Multiple-gradient descent: the point of least norm in the convex hull of the gradients.

    Source: Desideri, Comptes Rendus Mathematique 350, 2012; Sener and Koltun, Multi-Task Learning
    as Multi-Objective Optimization, NeurIPS 2018, arXiv:1810.04650. MGDA-UB, of the features, is
    `grad_on=features`.
    Differs: exact, by an active set on unit gradients. Sener and Koltun's program, LibMTL and
    torchjd take a limited number of Frank-Wolfe steps, from the best pair or (torchjd) from even
    weights, which with norms far apart may end longer than the shortest gradient.

    Args:
        grad_on: Of which gradients.
        normalization: Which gradients the hull is of: "none" plain ones, "l2" over their norms,
            "loss" over the losses, "loss+" over both. The weights apply to the plain ones.
    """

    def __init__(
        self,
        *,
        grad_on: GradOn = "parameters",
        normalization: Literal["none", "l2", "loss", "loss+"] = "none",
    ) -> None:
        super().__init__(grad_on=grad_on)
        self.normalization = normalization

    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """[T] not negative, of sum 1."""
        products = gramian.cpu()
        scales = torch.ones_like(products.diagonal())
        if "loss" in self.normalization:
            scales = scales / self.positive(losses).to(scales)
        if self.normalization in ("l2", "loss+"):
            norms = products.diagonal().clamp_min(0).sqrt()
            scales = torch.where(norms > 0, scales / norms, scales)
        found = least_combination((scales[:, None] * products * scales).numpy())
        return torch.from_numpy(found).to(gramian.device)


def least_combination(gramian: Array) -> Array:
    """[T] the w of the simplex where w'Mw is least, from M [T, T]; shared by the zero gradients, if any.

    It is sought in v_t = s w_t |g_t| / m, with m the least norm, C the cosines and p_t = m / |g_t|,
    so that norms far apart leave the problem well scaled. Of v not negative, v'Cv + (1 - p'v)^2 is
    least in the same direction: for a w its least over s grows with w'Mw.
    """
    lengths = np.sqrt(np.clip(gramian.diagonal(), 0.0, None))
    zero = lengths == 0
    if zero.any():
        shared: Array = zero / zero.sum()
        return shared
    price = lengths.min() / lengths
    cosines = gramian / np.outer(lengths, lengths)
    matrix = cosines + np.outer(price, price) + 1e-13 * np.eye(len(lengths))
    weights = _not_negative(matrix, price) * price
    found: Array = weights / weights.sum()
    return found


def _not_negative(matrix: Array, slope: Array) -> Array:
    """The x >= 0 where x'Ax / 2 - b'x is least, A [T, T] positive definite: Lawson and Hanson's active set."""
    x, free = np.zeros_like(slope), np.zeros(len(slope), dtype=bool)
    for _ in range(10 * len(slope)):
        descent = np.where(free, -np.inf, slope - matrix @ x)
        if descent.max() <= 1e-14:
            break
        free[descent.argmax()] = True
        while True:
            sought = np.zeros_like(x)
            sought[free] = np.linalg.solve(matrix[np.ix_(free, free)], slope[free])
            blocked = free & (sought <= 0)
            if not blocked.any():
                break
            shares = np.where(blocked, x / np.where(blocked, x - sought, 1.0), np.inf)
            x = x + shares.min() * (sought - x)
            free &= shares > shares.min()
            x[~free] = 0.0
        x = sought
    return x
