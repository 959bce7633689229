"""The geometric mean of the losses."""

import torch
from torch import Tensor

from mtlrun.core.weighting import LossWeighting


class GLS(LossWeighting):
    """Minimises the geometric mean (L_1 ... L_T)^(1/T), whose direction ignores the losses' scales.

    Source: Chennupati et al., MultiNet++, CVPR Workshops 2019, arXiv:1904.08325 (GLS).

    Its gradient is the mean of the tasks' gradients over their losses, times the geometric mean.
    """

    def weights(self, losses: Tensor) -> Tensor:
        """[T] the geometric mean over T L_t."""
        known = self.positive(losses)
        return torch.exp(known.log().mean()) / (len(known) * known)
