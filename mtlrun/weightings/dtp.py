"""Weights by how far a task is from being learned."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from mtlrun.core.weighting import LossWeighting


class DTP(LossWeighting):
    """Dynamic task prioritization: weights -(1 - k_t)^gamma ln k_t, k_t a moving average in (0, 1].

    Source: Guo et al., Dynamic Task Prioritization for Multitask Learning, ECCV 2018.
    Differs: k_t is a performance measure there, such as accuracy, which a training step does not
    know. Here it comes from the loss: "likelihood" is exp(-L_t), for a cross-entropy the
    geometric mean of the right classes' probabilities; "progress" is the loss over the one of the
    step before, at most 1, after Gong et al., A Comparison of Loss Weighting Strategies for Multi
    task Learning in Deep Neural Networks, IEEE Access 2019, where a loss that no longer falls
    loses its weight. The ratios are averaged, not the losses: the ratio of two averages is so near
    1 that nothing trains. The weights are of any sum and small where losses fall slowly, which SGD
    notices and Adam does not. The paper tunes gamma and the average; the defaults are ours.

    Args:
        measure: What k_t is.
        gamma: Of the focus on tasks that are far from learned.
        average: The share of a new value in the moving average, in (0, 1].

    Raises:
        ValueError: If a number is out of range.
    """

    kept: ClassVar[tuple[str, ...]] = ("level", "before")

    def __init__(
        self,
        *,
        measure: Literal["likelihood", "progress"] = "likelihood",
        gamma: float = 1.0,
        average: float = 0.1,
    ) -> None:
        if not (gamma >= 0 and 0 < average <= 1):
            raise ValueError(
                f"`gamma` should not be negative and `average` lie in (0, 1]. Found `gamma = "
                f"{gamma}`, `average = {average}`. Set weighting.gamma and weighting.average."
            )
        self.measure, self.gamma, self.average = measure, gamma, average
        self.level: Tensor | None = None  # [T] moving average of the measure
        self.before: Tensor | None = None  # [T] losses of the last step, for "progress"

    def weights(self, losses: Tensor) -> Tensor:
        """[T] not negative; 1 while there is no step before."""
        known, before = self.positive(losses), self.before
        if self.measure == "progress":
            self.before = known
            if before is None:
                return torch.ones_like(losses)
        value = torch.exp(-known) if before is None else (known / before).clamp_max(1.0)
        level = value if self.level is None else torch.lerp(self.level, value, self.average)
        self.level = level
        return focus(level, self.gamma)


def focus(level: Tensor, gamma: float) -> Tensor:
    """-(1 - k)^gamma ln k of k in (0, 1]: 0 at 1, without limit at 0."""
    known = level.clamp_min(torch.finfo(level.dtype).tiny)
    return -((1 - known) ** gamma) * known.log()
