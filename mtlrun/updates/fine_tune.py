"""Joint training that goes on from trained weights, at a rate of its own."""

from collections.abc import Sequence

from mtlrun.core.method import MakeOptimizer, StepSettings
from mtlrun.core.model import MultiTaskModel
from mtlrun.core.task import Task
from mtlrun.core.weighting import Weighting
from mtlrun.updates.joint import Joint


class FineTune(Joint):
    """The joint rule, whose optimizer has another learning rate than the configured one.

    Args:
        weighting: Combines the tasks.
        lr: The base rate, which the schedule multiplies; None for the configured one.
    """

    def __init__(self, weighting: Weighting, *, lr: float | None = None) -> None:
        if lr is not None and not 0 < lr < float("inf"):
            raise ValueError(
                f"`finetune_lr` should be finite and above 0. Found `finetune_lr = {lr}`. Set "
                f"method.finetune_lr."
            )
        super().__init__(weighting)
        self.lr = lr

    def setup(
        self,
        model: MultiTaskModel,
        tasks: Sequence[Task],
        make_optimizer: MakeOptimizer,
        settings: StepSettings,
    ) -> None:
        """Sets the rate."""
        super().setup(model, tasks, make_optimizer, settings)
        for group in self.optimizers[0].param_groups:
            group["lr"] = group["lr"] if self.lr is None else self.lr
