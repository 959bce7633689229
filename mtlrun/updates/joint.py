"""All tasks move the parameters together."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from mtlrun.core.batch import Batch
from mtlrun.core.method import LossWeighting, MakeOptimizer, StepOutput, StepSettings, UpdateRule
from mtlrun.core.model import MultiTaskModel
from mtlrun.core.task import Task


class Joint(UpdateRule):
    """One backward pass of the weighted sum of all losses, one optimizer step.

    Args:
        weighting: Combines the losses.
    """

    def __init__(self, weighting: LossWeighting) -> None:
        self.weighting = weighting

    def trained_parameters(self) -> list[nn.Parameter]:
        """The model's and the weighting's own."""
        module = self.weighting.module
        return [*super().trained_parameters(), *(module.parameters() if module else ())]

    def setup(
        self,
        model: MultiTaskModel,
        tasks: Sequence[Task],
        make_optimizer: MakeOptimizer,
        settings: StepSettings,
    ) -> None:
        """Moves the weighting to the model's device first."""
        if self.weighting.module is not None:
            self.weighting.module.to(next(model.parameters()).device)
        super().setup(model, tasks, make_optimizer, settings)

    def step(self, batch: Batch) -> StepOutput:
        """Moves all parameters once."""
        losses = self.losses(batch)
        weights = self.weighting.weights(losses)
        self.optimizers[0].zero_grad(set_to_none=True)
        (weights * losses).sum().backward()  # type: ignore[no-untyped-call]  # torch's backward has no annotations
        norm = self.move(self.optimizers[0])
        detached = losses.detach()
        return StepOutput(
            {task.name: loss for task, loss in zip(self.tasks, detached, strict=True)},
            {"gradient_norm": norm},
        )

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's and the weighting's."""
        return super().state_dict() | {"weighting": self.weighting.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        super().load_state_dict(state)
        self.weighting.load_state_dict(state["weighting"])
