"""Conflict-averse gradients."""

from typing import Any, Literal

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from mtlrun.core.weighting import GradOn, GramianWeighting

Vector = np.ndarray[Any, np.dtype[np.float64]]


class CAGrad(GramianWeighting):
    """The direction that helps the worst task most, no further than c |g_0| from the mean gradient g_0.

    Source: Liu et al., Conflict-Averse Gradient Descent for Multi-task Learning, NeurIPS 2021,
    arXiv:2110.14048, Algorithm 1; the dual is solved by SLSQP, as in the authors' program, here on
    the Gramian scaled to 1.
    Differs: no constants are added to norms. The authors' program multiplies by T, so that the
    scale is that of summed losses; it and LibMTL divide by 1 + c^2 (`rescale=squared`), torchjd
    does not.

    Args:
        grad_on: Of which gradients.
        c: The radius, in multiples of the mean gradient's norm; 0 gives the mean gradient.
        rescale: What the direction is divided by: "none" 1, "squared" 1 + c^2, "linear" 1 + c.

    Raises:
        ValueError: If c is negative or not finite.
    """

    def __init__(
        self,
        *,
        grad_on: GradOn = "parameters",
        c: float = 0.5,
        rescale: Literal["none", "squared", "linear"] = "squared",
    ) -> None:
        if not 0 <= c < float("inf"):
            raise ValueError(
                f"`c` should be finite and not negative. Found `c = {c}`. Set weighting.c."
            )
        super().__init__(grad_on=grad_on)
        self.c, self.rescale = c, rescale

    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """[T] not negative, of the plain gradients."""
        found = conflict_averse(gramian.cpu().numpy(), self.c)
        divisor = {"none": 1.0, "squared": 1 + self.c**2, "linear": 1 + self.c}[self.rescale]
        return torch.from_numpy(found / divisor).to(gramian.device)


def conflict_averse(gramian: Vector, c: float) -> Vector:
    """[T] 1 / T plus the multiples of the gradients that the worst task asks for, from [T, T].

    With w the point of the simplex where <g_w, g_0> + c |g_0| |g_w| is least, the direction is
    g_0 + c |g_0| g_w / |g_w|. It is sought in v_t = w_t |g_t| / m, m the least norm, so that
    norms far apart leave the problem well scaled.
    """
    size = len(gramian)
    even = np.full(size, 1 / size)
    lengths = np.sqrt(np.clip(gramian.diagonal(), 0.0, None))
    length = float(np.sqrt(max(even @ gramian @ even, 0.0)))
    if length <= 1e-9 * lengths.max():
        return even
    counted = np.flatnonzero(lengths)
    norms = lengths[counted]
    cosines = gramian[np.ix_(counted, counted)] / np.outer(norms, norms)
    toward = (gramian @ even)[counted] / (norms * length)  # cosines with the mean gradient
    price = norms.min() / norms  # of v: what it takes of the simplex

    def value(v: Vector) -> float:
        return float(v @ toward + c * np.sqrt(max(v @ cosines @ v, 0.0)))

    def slope(v: Vector) -> Vector:
        mapped = cosines @ v
        norm = np.sqrt(max(v @ mapped, 0.0))
        found: Vector = toward + (c / norm * mapped if norm > 0 else 0.0)
        return found

    found = minimize(
        value,
        np.full(len(norms), 1 / price.sum()),
        jac=slope,
        method="SLSQP",
        bounds=[(0.0, None)] * len(norms),
        constraints={"type": "eq", "fun": lambda v: v @ price - 1, "jac": lambda v: price},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    v = np.clip(found.x, 0.0, None)
    norm = np.sqrt(max(v @ cosines @ v, 0.0))
    spared = len(norms) < size and value(v) >= 0  # then a zero gradient is the worst task
    if norm > 1e-9 and not spared:
        even[counted] += c * length / norm * v / norms
    return even
