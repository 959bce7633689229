"""Weights by learned uncertainty."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mtlrun.core.batch import TaskName
from mtlrun.core.weighting import LossWeighting
from mtlrun.weightings._scales import Scales


class UW(LossWeighting):
    """Minimises the sum of L_t / (2 exp(s_t)) + s_t / 2, where s_t is a learned log-variance.

    Source: Kendall et al., Multi-Task Learning Using Uncertainty to Weigh Losses, CVPR 2018,
    arXiv:1705.07115, Eq. 7, for all tasks in the form of a regression.
    Differs: classification has no factor 1/2 in the paper's Eq. 10; as LibMTL and torchjd, all
    tasks have. Begins at 0 as torchjd does; LibMTL begins at -0.5.

    At the best s_t = ln L_t. They are trained by the model's optimizer, weight decay included, and
    their gradients count in the norm that is logged and clipped.

    Args:
        begin: Of every s_t.

    Raises:
        ValueError: If `begin` is not finite.
    """

    module: Scales

    def __init__(self, *, begin: float = 0.0) -> None:
        if not math.isfinite(begin):
            raise ValueError(
                f"`begin` should be finite. Found `begin = {begin}`. Set weighting.begin."
            )
        self.begin = begin

    def setup(self, tasks: Sequence[TaskName], device: torch.device) -> None:
        """Makes the log-variances."""
        super().setup(tasks, device)
        self.module = Scales(len(tasks), self.begin)

    def weights(self, losses: Tensor) -> Tensor:
        """[T] 1 / (2 exp(s_t))."""
        return 0.5 * torch.exp(-self.module.values.detach())

    def objective(self, losses: Tensor) -> Tensor:
        """What s_t minimise."""
        values = self.module.values
        return 0.5 * (torch.exp(-values) * losses + values).sum()
