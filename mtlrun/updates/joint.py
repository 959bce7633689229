"""All tasks move the parameters together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mtlrun.core.batch import Batch
from mtlrun.core.compared_gradients import ComparedGradients
from mtlrun.core.distributed import averaged
from mtlrun.core.feature_gradients import feature_gramian, signed_sums, weighed_features
from mtlrun.core.gradients import (
    Gradient,
    SharedPass,
    each_task_gradient,
    features_gradient,
    gramian,
    shared_pass,
    weighted_gradient,
)
from mtlrun.core.method import MakeOptimizer, StepOutput, StepSettings, UpdateRule
from mtlrun.core.model import MultiTaskModel, unmoved_statistics
from mtlrun.core.seeding import RandomState
from mtlrun.core.task import Task
from mtlrun.core.weighting import (
    GradientAggregation,
    GramianWeighting,
    LossWeighting,
    Weighting,
)


class Joint(UpdateRule):
    """One optimizer step by all tasks, combined by a weighting.

    A weighting of losses takes one backward pass of their weighted sum. The others take one forward
    pass, cut at the features that the heads read: each head is walked back once, which yields its
    parameters' gradients, and the encoder once a task. From their inner products a weighting of
    gradients finds its weights, and what was walked back is summed by them; a weighting by gradients of
    features or one layer takes one last backward pass instead. An aggregation is shown the gradients
    one after another. Every task's gradient is averaged over the processes before that.

    Args:
        weighting: Combines the tasks.
    """

    def __init__(self, weighting: Weighting) -> None:
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
        """Sets the weighting up first."""
        self.device = next(model.parameters()).device
        self.weighting.setup([task.name for task in tasks], self.device)
        if self.weighting.module is not None:
            self.weighting.module.to(self.device)
        super().setup(model, tasks, make_optimizer, settings)

    def step(self, batch: Batch) -> StepOutput:
        """Moves all parameters once."""
        weighting = self.weighting
        random = RandomState.capture(self.device) if weighting.wants_losses_after else None
        self.optimizers[0].zero_grad(set_to_none=True)
        weights: Tensor | None
        if isinstance(weighting, LossWeighting):
            losses, weights = self._weigh_losses(batch, weighting)
            norm = self.move(self.optimizers[0])
        else:
            losses, weights = self._combine_gradients(batch)
            norm = self.move(self.optimizers[0], averaging=False)
        if random is not None:
            weighting.losses_after(averaged(losses), self._losses_again(batch, random))
        scalars: dict[str, Tensor | float] = {"gradient_norm": norm}
        if weights is not None and not weighting.is_constant:
            for task, weight in zip(self.tasks, weights, strict=True):
                scalars[f"weight/{task.name}"] = weight
        return StepOutput(
            {task.name: loss for task, loss in zip(self.tasks, losses, strict=True)}, scalars
        )

    def epoch_ended(self) -> None:
        """Tells the weighting."""
        self.weighting.epoch_ended()

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's and the weighting's."""
        return super().state_dict() | {"weighting": self.weighting.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        super().load_state_dict(state)
        self.weighting.load_state_dict(state["weighting"])

    def _weigh_losses(self, batch: Batch, weighting: LossWeighting) -> tuple[Tensor, Tensor]:
        """Losses and weights [T]; the gradients, of this process's examples, lie in the parameters."""
        losses = self.losses(batch)
        known = averaged(losses)
        weights = weighting.weights(known).to(losses)
        self._teach(known)
        (weights * losses).sum().backward()  # type: ignore[no-untyped-call]  # torch's backward has no annotations
        return losses.detach(), weights

    def _combine_gradients(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Losses [T], and weights [T] if there are any; the gradients, means over processes, lie in the parameters."""
        weighting = self.weighting
        by_products = isinstance(weighting, GramianWeighting)
        forward = shared_pass(
            self.model,
            self.tasks,
            batch,
            autocast=self.settings.autocast(self.device),
            layers=by_products,
            summed=by_products,
        )
        self.check_finite(forward.losses)
        if isinstance(weighting, GramianWeighting):
            return forward.losses, self._weigh_gradients(forward, weighting)
        assert isinstance(weighting, GradientAggregation)
        self._aggregate(forward, weighting)
        return forward.losses, None

    def _weigh_gradients(self, forward: SharedPass, weighting: GramianWeighting) -> Tensor:
        """Weights [T]; the gradients, means over the processes, lie in the parameters."""
        weighted: Callable[[Tensor], Gradient] = partial(weighted_gradient, forward)
        if weighting.grad_on == "features":
            products = feature_gramian(forward)
        elif weighting.grad_on == "last_layer":
            last = self.model.last_shared_layer().parameters(recurse=False)
            products = gramian(forward, parameters=last, retain_graph=True)
        else:
            compared = ComparedGradients(forward)
            products, weighted = compared.gramian, compared.weighted
        products = products.to(self.device)
        self.check_finite_gradients(products.diagonal())
        known = averaged(forward.losses)
        weights = weighting.weights(products, known)
        heads = weighting.head_weights(weights).to(forward.losses)
        self._teach(known)
        weights = weights.to(forward.losses)
        self._give(forward, weighted(weights), heads)
        return weights

    def _aggregate(self, forward: SharedPass, weighting: GradientAggregation) -> None:
        """The gradients, means over the processes, lie in the parameters afterwards."""
        if weighting.grad_on == "features":
            sums = signed_sums(forward)
            self.check_finite_gradients(sums.sum(1))
            weighed = weighed_features(forward, weighting.feature_weights(sums))
            found = features_gradient(forward, weighed)
        else:
            flat = weighting.aggregate(self._rows(forward))
            parts = torch.split(flat, [p.numel() for p in forward.parameters])
            pairs = zip(parts, forward.parameters, strict=True)
            found = [part.view_as(p) for part, p in pairs]
        self._give(forward, found, torch.ones_like(forward.losses))

    def _rows(self, forward: SharedPass) -> Iterator[Tensor]:
        """T gradients [P], one after another, in one buffer."""
        size = sum(p.numel() for p in forward.parameters)
        row = forward.losses.new_empty(size)
        for t, parts in enumerate(each_task_gradient(forward)):
            torch.cat([part.reshape(-1) for part in parts], out=row)
            del parts
            own = torch.zeros_like(forward.losses)
            own[t] = row.sum()
            self.check_finite_gradients(own)
            yield row

    def _give(self, forward: SharedPass, shared: Gradient, heads: Tensor) -> None:
        """Puts gradients into the parameters: the shared ones', and the heads' times weights [T]."""
        for parameter, gradient in zip(forward.parameters, shared, strict=True):
            parameter.grad = gradient
        for task, weight, own in zip(self.tasks, heads, forward.head_gradients, strict=True):
            trained = [p for p in self.model.task_parameters(task.name) if p.requires_grad]
            for parameter, gradient in zip(trained, own, strict=True):
                parameter.grad = gradient * weight.to(gradient.dtype)

    def _teach(self, losses: Tensor) -> None:
        """Gives the weighting's own parameters their gradients."""
        objective = self.weighting.objective(losses)
        if objective is not None:
            objective.backward()  # type: ignore[no-untyped-call]  # torch's backward has no annotations

    def _losses_again(self, batch: Batch, random: RandomState) -> Tensor:
        """[T] losses at the moved parameters, with the draws of the step's forward pass."""
        now = RandomState.capture(self.device)
        random.restore()
        with torch.no_grad(), unmoved_statistics(self.model):
            after = averaged(self.losses(batch))
        now.restore()
        return after
