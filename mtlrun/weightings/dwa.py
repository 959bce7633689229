"""Weights by how slowly the losses fall."""

from typing import ClassVar

import torch
from torch import Tensor

from mtlrun.core.weighting import LossWeighting


class DWA(LossWeighting):
    """Dynamic weight average: T softmax(r / temperature), r_t the ratio of the last two epochs' mean losses.

    Source: Liu et al., End-to-End Multi-Task Learning with Attention, CVPR 2019, arXiv:1803.10704,
    Eq. 7. The weights are 1 in the first two epochs.

    Args:
        temperature: Of the softmax; a large one makes the weights alike.

    Raises:
        ValueError: If the temperature is not positive.
    """

    kept: ClassVar[tuple[str, ...]] = ("total", "count", "last", "before_last")

    def __init__(self, *, temperature: float = 2.0) -> None:
        if not temperature > 0:
            raise ValueError(
                f"`temperature` should be positive. Found `temperature = {temperature}`. "
                f"Set weighting.temperature."
            )
        self.temperature = temperature
        self.total: Tensor | None = None  # [T] of this epoch's losses
        self.count = 0
        self.last: Tensor | None = None
        self.before_last: Tensor | None = None

    def weights(self, losses: Tensor) -> Tensor:
        """[T] of sum T."""
        self.total = losses if self.total is None else self.total + losses
        self.count += 1
        if self.last is None or self.before_last is None:
            return torch.ones_like(losses)
        ratios = self.last / self.positive(self.before_last)
        return len(losses) * torch.softmax(ratios / self.temperature, 0)

    def epoch_ended(self) -> None:
        """Takes the epoch's mean losses."""
        if self.total is None:
            return
        self.before_last, self.last = self.last, self.total / self.count
        self.total, self.count = None, 0
