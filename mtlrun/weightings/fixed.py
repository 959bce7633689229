"""Weights that are known beforehand."""

from collections.abc import Sequence

from torch import Tensor

from mtlrun.core.weighting import LossWeighting


class Fixed(LossWeighting):
    """Weighs the losses by given numbers.

    Args:
        weights: [T], in the order of the tasks.
    """

    is_constant = True

    def __init__(self, weights: Sequence[float]) -> None:
        self.given = tuple(weights)

    def weights(self, losses: Tensor) -> Tensor:
        """[T] the given weights."""
        return losses.new_tensor(self.given)
