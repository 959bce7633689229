"""The loss part of impartial multi-task learning."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtlrun.core.batch import TaskName
from mtlrun.core.weighting import LossWeighting
from mtlrun.weightings._scales import Scales


class IMTLL(LossWeighting):
    """Minimises the sum of exp(s_t) L_t - s_t with learned s_t, which brings all losses to scale 1.

    Source: Liu et al., Towards Impartial Multi-task Learning, ICLR 2021 (IMTL-L).

    At the best s_t = -ln L_t. They are trained by the model's optimizer, weight decay included, and
    their gradients count in the norm that is logged and clipped.
    """

    module: Scales

    def setup(self, tasks: Sequence[TaskName], device: torch.device) -> None:
        """Makes the exponents, 0 at first."""
        super().setup(tasks, device)
        self.module = Scales(len(tasks), 0.0)

    def weights(self, losses: Tensor) -> Tensor:
        """[T] exp(s_t)."""
        return self.module.values.detach().exp()

    def objective(self, losses: Tensor) -> Tensor:
        """What s_t minimise."""
        values = self.module.values
        return (values.exp() * losses - values).sum()
