"""The plain sum or mean of the losses."""

from typing import Literal

import torch
from torch import Tensor

from mtlrun.core.weighting import LossWeighting


class Equal(LossWeighting):
    """Weighs all losses alike.

    Source: the "GD" or "EW" row of every table. PTG and selective updates sum the losses
    (algorithms of both papers), DSMTL averages them (Eq. 3); under Adam the two differ only by
    its epsilon.

    Args:
        reduction: "sum" for weights 1, "mean" for weights 1 / T.
    """

    is_constant = True

    def __init__(self, *, reduction: Literal["sum", "mean"] = "sum") -> None:
        self.reduction = reduction

    def weights(self, losses: Tensor) -> Tensor:
        """[T] equal weights."""
        return torch.full_like(losses, 1.0 if self.reduction == "sum" else 1.0 / len(losses))
