"""Fixed weights of the losses, by task, or losses brought to one scale."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from torch import Tensor

from mtlrun.core.batch import TaskName
from mtlrun.core.weighting import LossWeighting


class LinearScale(LossWeighting):
    """Minimises a sum of the losses with fixed weights, each loss on a scale of its own if wanted.

    Source: "LinearScale" or "LS" in PTG's tables, which the paper does not define; taken as the
    linear scalarisation of Navon et al., Multi-Task Learning as a Bargaining Game, ICML 2022,
    arXiv:2202.01017: the sum of w_t L_t with w_t = 1. Their scale-invariant baseline, the sum of
    w_t ln L_t, is `scale=log`.
    Differs: `scale=initial`, the sum of w_t L_t / L_t(0), is in neither.

    Args:
        scale: "none"; "initial" divides each loss by its value at the first batch; "log" minimises
            the logarithms, so that each loss is divided by its present value.
        task_weights: By name of the task; 1 for those not named.

    Raises:
        ValueError: If a weight is not finite.
    """

    kept: ClassVar[tuple[str, ...]] = ("first",)

    def __init__(
        self,
        *,
        scale: Literal["none", "initial", "log"] = "none",
        task_weights: Mapping[TaskName, float] | None = None,
    ) -> None:
        self.scale, self.task_weights = scale, dict(task_weights or {})
        if not all(math.isfinite(weight) for weight in self.task_weights.values()):
            raise ValueError(
                f"`task_weights` should be finite. Found `task_weights = {self.task_weights}`. Set "
                f"weighting.task_weights."
            )
        self.first: Tensor | None = None

    def check(self, tasks: Sequence[TaskName]) -> None:
        """Refuses weights of unknown tasks."""
        unknown = sorted(set(self.task_weights) - set(tasks))
        if unknown:
            raise ValueError(
                f"`task_weights` should be of {', '.join(tasks)}. Found {', '.join(unknown)}. Set "
                f"weighting.task_weights."
            )

    def weights(self, losses: Tensor) -> Tensor:
        """[T] the weights, over the scale."""
        given = losses.new_tensor([self.task_weights.get(task, 1.0) for task in self.tasks])
        if self.scale == "none":
            return given
        if self.scale == "log":
            return given / self.positive(losses)
        if self.first is None:
            self.first = self.positive(losses)
        return given / self.first
