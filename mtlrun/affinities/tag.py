"""Task affinity groupings (TAG): what a step on one task does to every task's loss."""

import warnings
from typing import Any

import torch
from torch import Tensor

from mtlrun.affinities._collector import (
    Gains,
    MeanCollector,
    Observation,
    first_order_noise,
    is_clear_of_noise,
)
from mtlrun.affinities._first_pass import BatchNorm
from mtlrun.affinities._trace import without_trace
from mtlrun.affinities._virtual import (
    Rule,
    VirtualUpdates,
    averaged_losses,
    computing_type,
    gains,
    virtual_updates,
)
from mtlrun.core.gradients import gramian, shared_pass
from mtlrun.core.method import TrainingPoint


class TAGCollector(MeanCollector):
    """Relative fall of task j's loss when the shared parameters take a step on task i, heads fixed.

    Z[i, j] = 1 - L_j(phi - lr g_i, theta_j) / L_j(phi, theta_j), averaged over batches. Costs one
    forward pass, T backward passes and T passes of the encoder with all heads a collected batch.

    Source: Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning, NeurIPS
        2021, arXiv:2109.04617, Section 3. To first order, Z[i, j] = lr g_i . g_j / L_j.
    Differs: the CelebA program divides by the learning rate (`divide_by_lr`) and adds the momentum
        buffer to the step (`rule=momentum`); the Taskonomy program moves the running statistics of
        batch norm and leaves them moved, here they are put back.

    Args:
        every: Batches from one that is looked at to the next.
        rule: How a gradient moves the shared parameters: "sgd" by learning rate times gradient,
            "momentum" the same with SGD's momentum buffer added, "optimizer" as the optimizer would.
        batch_norm: How it works at the moved parameters: "batch_frozen" on the batch's statistics;
            "batch" the same as in a training forward, moving the running statistics for the time
            being; "running" on the running statistics, for both losses.
        divide_by_lr: Whether gains are divided by the learning rate (0 where it is 0).
        gains: "exact"; "first_order", from the Gramian of the gradients, without the T passes;
            "auto" takes first-order ones for batches on which exact ones would be mostly rounding.
    """

    def __init__(
        self,
        *,
        every: int = 1,
        rule: Rule = "sgd",
        batch_norm: BatchNorm = "batch_frozen",
        divide_by_lr: bool = False,
        gains: Gains = "exact",
    ) -> None:
        super().__init__("tag", every=every)
        check_first_order(gains, rule, batch_norm)
        self.rule, self.batch_norm = rule, batch_norm
        self.divide_by_lr, self.gains = divide_by_lr, gains

    def describe(self) -> dict[str, Any]:
        """The settings that the values depend on."""
        return {
            "rule": self.rule,
            "batch_norm": self.batch_norm,
            "divide_by_lr": self.divide_by_lr,
            "gains": self.gains,
        }

    def look(self, point: TrainingPoint) -> Observation:
        """The gains of one batch."""
        found = self._from_gramian(point) if self.gains == "first_order" else self._exact(point)
        if not self.divide_by_lr:
            return found
        scale = 1 / point.learning_rate if point.learning_rate else 0.0
        return Observation(
            found.values * scale, found.looked_at, found.noise * scale, found.first_order
        )

    def _from_gramian(self, point: TrainingPoint) -> Observation:
        with without_trace(point):
            autocast = point.settings.autocast(next(point.model.parameters()).device)
            forward = shared_pass(
                point.model, point.tasks, point.batch, autocast=autocast, heads=False, layers=True
            )
            products = gramian(forward)
        losses = averaged_losses(forward.losses.unbind())
        return self._expanded(point, products, losses)

    def _expanded(self, point: TrainingPoint, products: Tensor, losses: Tensor) -> Observation:
        values = first_order_gains(products, losses, point.learning_rate)
        noise = first_order_noise(values, computing_type(point))
        return Observation(values, torch.ones_like(values, dtype=torch.bool), noise, True)

    def _exact(self, point: TrainingPoint) -> Observation:
        tasks = list(range(len(point.tasks)))
        with virtual_updates(
            point, tasks, rule=self.rule, heads="fixed", batch_norm=self.batch_norm
        ) as updates:
            if self.probe.is_due(self.collected):
                self.probe.take(updates, tasks, self.collected)
            noise = self.probe.relative or 0.0
            if self.gains == "auto":
                losses = averaged_losses([updates.losses[t] for t in tasks])
                products = updates.gramian()
                expanded = self._expanded(point, products, losses)
                if not is_clear_of_noise(expanded.values, noise):
                    return expanded
            found = averaged_losses(self._read(updates, tasks))
        before, after = found[: len(tasks)], found[len(tasks) :].view(len(tasks), len(tasks))
        values = gains(after, before.expand_as(after))
        return Observation(values, torch.ones_like(values, dtype=torch.bool), noise)

    def _read(self, updates: VirtualUpdates, tasks: list[int]) -> list[Tensor]:
        if self.batch_norm == "running":  # the first pass used the batch's statistics
            losses = updates.read(tasks)
        else:
            losses = [updates.losses[t] for t in tasks]
        for i in tasks:
            updates.move([i])
            losses += updates.read(tasks)
        return losses


def first_order_gains(products: Tensor, losses: Tensor, learning_rate: float) -> Tensor:
    """[T, T] lr g_i . g_j / L_j in float64 on CPU; nan where a loss is not positive.

    Args:
        products: [T, T] inner products of the shared gradients.
        losses: [T].
        learning_rate: Of the step.
    """
    return torch.where(losses > 0, learning_rate * products.cpu() / losses, torch.nan)


def check_first_order(gains: Gains, rule: Rule, batch_norm: BatchNorm) -> None:
    """Raises ValueError where first-order gains do not know a rule; warns of a setting without effect."""
    if gains != "exact" and rule != "sgd":
        raise ValueError(
            f"`gains={gains}` should go with `rule=sgd`: the Gramian tells the effect of plain steps only. "
            f"Found `rule={rule}`. Set `gains=exact` or `rule=sgd`."
        )
    if gains == "first_order" and batch_norm != "batch_frozen":
        warnings.warn(
            f"`batch_norm={batch_norm}` has no effect with `gains=first_order`, whose one forward pass is "
            f"a training forward. Leave it out, or set `gains=exact`.",
            stacklevel=3,
        )
