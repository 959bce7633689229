"""Gradient sign dropout."""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor

from mtlrun.core.batch import TaskName
from mtlrun.core.weighting import GradientAggregation


class GradDrop(GradientAggregation):
    """Keeps, element by element, the tasks' gradients of one sign, drawn by how much they agree.

    Source: Chen et al., Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign
    Dropout, NeurIPS 2020, arXiv:2010.06808, Algorithm 1, with f the identity.
    Differs: the paper and LibMTL drop gradients of the features (`grad_on=features`: signs times
    those of the features, summed over the batch); torchjd those of the parameters, as here by
    default. Two sums over the tasks are kept, not T gradients.

    Args:
        grad_on: Of which gradients.
        leak: The share, in [0, 1], of every gradient that is not subject to it.

    Raises:
        ValueError: If the share is out of range.
    """

    generator: torch.Generator

    def __init__(
        self, *, grad_on: Literal["parameters", "features"] = "parameters", leak: float = 0.0
    ) -> None:
        if not 0 <= leak <= 1:
            raise ValueError(
                f"`leak` should lie in [0, 1]. Found `leak = {leak}`. Set weighting.leak."
            )
        super().__init__(grad_on=grad_on)
        self.leak = leak
        self._seed = torch.initial_seed()

    def setup(self, tasks: Sequence[TaskName], device: torch.device) -> None:
        """Makes the generator where the gradients are."""
        super().setup(tasks, device)
        self.generator = torch.Generator(device).manual_seed(self._seed)

    def aggregate(self, rows: Iterable[Tensor]) -> Tensor:
        """[P] of T rows [P]."""
        iterator = iter(rows)
        total = next(iterator).clone()
        size = total.abs()
        for row in iterator:
            total += row
            size += row.abs()
        kept = torch.where(self._is_positive(total, size), size, -size)
        kept = (kept + total) / 2  # the sum of the positive ones, or of the negative ones
        return kept if self.leak == 0 else self.leak * total + (1 - self.leak) * kept

    def feature_weights(self, gradients: Tensor) -> Tensor:
        """[T, F] ones and zeros, less the leak."""
        positive = self._is_positive(gradients.sum(0), gradients.abs().sum(0))
        kept = torch.where(positive, gradients > 0, gradients < 0).to(gradients.dtype)
        return self.leak + (1 - self.leak) * kept

    def _is_positive(self, total: Tensor, size: Tensor) -> Tensor:
        """Whether the drawn sign is +, from the sums of gradients and of their absolute values."""
        drawn = torch.rand(
            total.shape, generator=self.generator, dtype=total.dtype, device=total.device
        )
        return (2 * drawn - 1) * size < total
