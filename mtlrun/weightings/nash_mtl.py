"""The tasks' bargaining solution."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtlrun.core.weighting import GradOn, GramianWeighting

Array = np.ndarray[Any, np.dtype[np.float64]]


class NashMTL(GramianWeighting):
    """Weights a with M a = 1 / a, M the Gramian: no scale of a loss alters the direction.

    Source: Navon et al., Multi-Task Learning as a Bargaining Game, ICML 2022, arXiv:2202.01017,
    Algorithm 1 and Claim 3.1. The equation says where the convex a'Ma / 2 - sum of ln a is least,
    found by damped Newton steps on unit gradients.
    Differs: the authors' program, LibMTL and torchjd take up to 20 steps of a sequence of convex
    problems, which stays far off where the gradients' norms differ a hundredfold; the exact
    solution has the norm sqrt(T), brought to `max_norm` as in the authors' program. There the
    losses are weighed, here a task's own parameters get its plain gradient. A zero gradient has
    weight 0.

    Args:
        grad_on: Of which gradients.
        max_norm: The largest norm of the combined gradient; null for no limit.

    Raises:
        ValueError: If `max_norm` is not positive.
    """

    def __init__(self, *, grad_on: GradOn = "parameters", max_norm: float | None = 1.0) -> None:
        if max_norm is not None and not max_norm > 0:
            raise ValueError(
                f"`max_norm` should be positive, or null for no limit. Found `max_norm = "
                f"{max_norm}`. Set weighting.max_norm."
            )
        super().__init__(grad_on=grad_on)
        self.max_norm = max_norm

    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """[T] not negative."""
        products = gramian.cpu().numpy()
        found = bargain(products)
        norm = float(np.sqrt(max(found @ products @ found, 0.0)))
        if self.max_norm is not None and norm > self.max_norm:
            found = found * (self.max_norm / norm)
        return torch.from_numpy(found).to(gramian.device)


def bargain(gramian: Array) -> Array:
    """[T] a with M a = 1 / a, from M [T, T]; 0 for a zero gradient.

    Opposite gradients have no solution; then the weights are large and their combination small.
    """
    lengths = np.sqrt(np.clip(gramian.diagonal(), 0.0, None))
    counted = np.flatnonzero(lengths)
    weights = np.zeros(len(gramian))
    if len(counted):
        own = lengths[counted]
        cosines = gramian[np.ix_(counted, counted)] / np.outer(own, own)
        weights[counted] = _newton(cosines + 1e-13 * np.eye(len(own))) / own
    return weights


def _newton(matrix: Array, *, max_steps: int = 200) -> Array:
    """The x with C x = 1 / x; the steps shrink so that x stays positive and the descent is sure."""
    x: Array = 1 / np.sqrt(np.clip(matrix.sum(1), 1.0, None))
    for _ in range(max_steps):
        gradient = matrix @ x - 1 / x
        step = np.linalg.solve(matrix + np.diag(1 / x**2), gradient)
        decrement = math.sqrt(max(float(gradient @ step), 0.0))
        x = x - step / (1 + decrement if decrement > 0.25 else 1.0)
        if decrement < 1e-12:
            break
    return x
