"""Groups of tasks step one after another on each batch, and are formed by what their steps did."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mtlrun.core.batch import Batch, TaskName
from mtlrun.core.distributed import averaged
from mtlrun.core.method import MakeOptimizer, StepOutput, StepSettings, UpdateRule
from mtlrun.core.model import MultiTaskModel, task_losses, unmoved_statistics
from mtlrun.core.seeding import RandomState
from mtlrun.core.task import Task
from mtlrun.updates._group_tracker import GroupTracker, Order
from mtlrun.updates._groupings import Grouping, Partition
from mtlrun.updates._proximal import Conflict, SelfUpdate

Attribution = Literal["exact", "lagged"]
FrozenHeads = Literal["none_grad", "zero_grad"]
HeadRate = float | Literal["num_tasks"]
Noise = Literal["shared", "fresh"]


class Selective(UpdateRule):
    """One optimizer step for each group, on the sum of its losses; the heads of other groups rest.

    Source: Selective Task Group Updates for Multi-Task Optimization, Algorithm 1. One optimizer
    holds all parameters, so that M groups are M of its steps; the schedule moves once a batch.
    Differs: a loss of 0 or less before a step leaves the affinity to its task as it is (as in the
    published program; the paper's ratio is not defined there). All passes of a batch draw alike
    (noise="fresh": anew, as in the published program; the paper does not say), or dropout's draws
    would pass for changes. Where else the program departs from the paper, its way is an argument.

    The pass after a group's step measures that step, and is the pass on which the next group steps:
    M + 1 passes for M groups, the last without a graph, and without a trace in batch norm's
    statistics. With one group of all tasks the weights are those of joint training, bit for bit.
    Under data parallelism losses are averaged before they are compared: all processes group alike.

    Args:
        grouping: Partitions the tasks before every batch.
        seed: Of the order of groups, and of groupings that draw.
        beta: Weight of a new value in the moving average of affinities, in (0, 1].
        warmup: Batches on which every task is a group of its own; none where the grouping does not
            read the affinity.
        attribution: "exact" credits a group with the change that its step made; "lagged" with the
            change that the step before made, as the published program does: M passes, the first
            group of a batch credited with none, the last one's step not measured, and a single
            group stepped twice.
        divide_by_group_size: Whether a change is shared among the group's tasks.
        conflict: See `track`.
        self_update: See `track`.
        head_lr_mult: What the learning rate of heads is multiplied by; "num_tasks" for T.
        frozen_heads: "none_grad" leaves the heads outside the group alone; with "zero_grad" those
            that were stepped before have gradients of 0: momentum and weight decay move them.
        order: Of a batch's groups: drawn, by their first tasks, the reverse, or by the place of
            their first task in a list of names.
        noise: Whether layers such as dropout draw the same in all passes of a batch ("shared"), so
            that only steps change losses, or anew in each ("fresh").
        loss_weights: By task; 1 for those not named.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        grouping: Grouping,
        *,
        seed: int,
        beta: float = 1e-3,
        warmup: int = 100,
        attribution: Attribution = "exact",
        divide_by_group_size: bool = False,
        conflict: Conflict = "abs",
        self_update: SelfUpdate = "always",
        head_lr_mult: HeadRate = 1.0,
        frozen_heads: FrozenHeads = "none_grad",
        order: Order = "random",
        noise: Noise = "shared",
        loss_weights: Mapping[TaskName, float] | None = None,
    ) -> None:
        _check_ranges(beta, warmup, head_lr_mult, loss_weights or {})
        self.tracking: dict[str, Any] = {
            "grouping": grouping,
            "seed": seed,
            "warmup": warmup,
            "order": order,
            "beta": beta,
            "conflict": conflict,
            "self_update": self_update,
            "divide_by_group_size": divide_by_group_size,
            "repeats_single": attribution == "lagged",
        }
        self.attribution, self.noise = attribution, noise
        self.head_lr_mult, self.frozen_heads = head_lr_mult, frozen_heads
        self.loss_weights = dict(loss_weights or {})

    def setup(
        self,
        model: MultiTaskModel,
        tasks: Sequence[Task],
        make_optimizer: MakeOptimizer,
        settings: StepSettings,
    ) -> None:
        """Begins with every task alone and affinities of 0."""
        super().setup(model, tasks, make_optimizer, settings)
        half = settings.precision == "bf16"
        computing = torch.bfloat16 if half else next(model.parameters()).dtype
        self.tracker = GroupTracker(
            [task.name for task in self.tasks],
            rounding=torch.finfo(computing).eps,
            **self.tracking,
        )
        self._stepped: set[int] = set()
        mult = self.head_lr_mult
        factor = len(self.tasks) if mult == "num_tasks" else float(mult)
        if factor != 1:
            _multiply_rate(self.optimizers[0], self.model.shared_parameters(), factor)

    def step(self, batch: Batch) -> StepOutput:
        """Steps every group once."""
        order = self.tracker.next_groups()
        measured, norms = self._step_groups(batch, order)
        table = averaged(torch.stack(measured)).double().cpu()  # [passes, T]
        for k, group in enumerate(order if self.attribution == "exact" else order[1:]):
            self.tracker.credit(group, table[k], table[k + 1])
        first = zip(self.tasks, measured[0], strict=True)
        scalars: dict[str, Tensor | float] = {"gradient_norm": torch.stack(norms).mean()}
        return StepOutput(
            {task.name: loss for task, loss in first},
            scalars | self.tracker.scalars(),
        )

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's, the tracker's, and which heads were stepped."""
        own = {"tracker": self.tracker.state_dict(), "stepped": sorted(self._stepped)}
        return super().state_dict() | own

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        super().load_state_dict(state)
        self.tracker.load_state_dict(state["tracker"])
        self._stepped = set(state["stepped"])

    def learned(self) -> Mapping[str, Any]:
        """As `GroupTracker.learned`."""
        return self.tracker.learned()

    def _step_groups(self, batch: Batch, order: Partition) -> tuple[list[Tensor], list[Tensor]]:
        """Each pass's losses [T], detached, and each step's norm of gradients."""
        random = RandomState.capture(next(self.model.parameters()).device)
        measured, norms = [], []
        for k, group in enumerate(order):
            losses = self._losses_for(batch, group, random if k else None)
            measured.append(losses.detach())
            norms.append(self._move(losses, group))
        if self.attribution == "exact":
            with unmoved_statistics(self.model):
                measured.append(self._losses_for(batch, (), random))
        return measured, norms

    def _losses_for(self, batch: Batch, group: Sequence[int], random: RandomState | None) -> Tensor:
        """[T] losses of all tasks; a graph leads to those of a group only."""
        if random is not None and self.noise == "shared":
            random.restore()
        names = [task.name for task in self.tasks]
        device = next(self.model.parameters()).device
        losses: list[Tensor] = []
        with torch.set_grad_enabled(bool(group)), self.settings.autocast(device):
            features = self.model.encode(batch.inputs, names)
        for k, task in enumerate(self.tasks):
            with torch.set_grad_enabled(k in group):
                with self.settings.autocast(device):
                    prediction = self.model.decode(features, [task.name])
                losses += task_losses([task], prediction, batch.targets)
        stacked = torch.stack(losses)
        self.check_finite(stacked)
        return stacked

    def _move(self, losses: Tensor, group: Sequence[int]) -> Tensor:
        """Steps the optimizer by a group's losses [T]; the norm of the gradients."""
        weights = [
            self.loss_weights.get(task.name, 1.0) if k in group else 0.0
            for k, task in enumerate(self.tasks)
        ]
        self.optimizers[0].zero_grad(set_to_none=True)
        (losses.new_tensor(weights) * losses).sum().backward()  # type: ignore[no-untyped-call]  # torch's backward has no annotations
        if self.frozen_heads == "zero_grad":
            for k in self._stepped.difference(group):
                for parameter in self.model.task_parameters(self.tasks[k].name):
                    parameter.grad = torch.zeros_like(parameter)
        self._stepped |= set(group)
        return self.move(self.optimizers[0])


def _check_ranges(
    beta: float, warmup: int, head_lr_mult: HeadRate, loss_weights: Mapping[TaskName, float]
) -> None:
    if not 0 < beta <= 1:
        raise ValueError(
            f"`beta` should be above 0 and at most 1. Found `beta = {beta}`. Set method.beta."
        )
    if warmup < 0:
        raise ValueError(
            f"`warmup` should be 0 or more batches. Found `warmup = {warmup}`. Set method.warmup."
        )
    if head_lr_mult != "num_tasks" and not 0 < head_lr_mult < math.inf:
        raise ValueError(
            f"`head_lr_mult` should be num_tasks or a finite number above 0. Found "
            f"`head_lr_mult = {head_lr_mult}`. Set method.head_lr_mult."
        )
    for task, weight in loss_weights.items():
        if not 0 <= weight < math.inf:
            raise ValueError(
                f"`loss_weights` should be finite and 0 or more. Found {weight} for task `{task}`. "
                f"Set method.loss_weights."
            )


def _multiply_rate(
    optimizer: torch.optim.Optimizer, shared: Sequence[nn.Parameter], factor: float
) -> None:
    """Puts all but the shared parameters into a group of their own, with another learning rate."""
    (group,) = optimizer.param_groups
    ids = {id(parameter) for parameter in shared}
    others = [parameter for parameter in group["params"] if id(parameter) not in ids]
    group["params"] = [parameter for parameter in group["params"] if id(parameter) in ids]
    optimizer.add_param_group({**group, "params": others, "lr": factor * group["lr"]})
