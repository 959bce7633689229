"""Each task's evidence lower bound moves the parameters."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from mtlrun.core.batch import Batch, TaskName
from mtlrun.core.method import MakeOptimizer, StepOutput, StepSettings, UpdateRule
from mtlrun.core.model import MultiTaskModel
from mtlrun.core.task import Task

StepOrder = Literal["per_task", "joint"]


@runtime_checkable
class VariationalModel(Protocol):
    """A multi-task model with random representations and classifiers."""

    def prepared(self, batch: Batch) -> tuple[Batch, Any]:
        """The batch as `evidence` takes it, and what priors read beside it; of no parameters."""
        ...

    def evidence(
        self,
        batch: Batch,
        tasks: Sequence[TaskName],
        *,
        attention: Any,
        temperature: float,
        first: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [S, K, B, C] of S draws, divergences of representations [K] and of classifiers [K]."""
        ...


@dataclass(frozen=True)
class Divergences:
    """How much divergences from priors weigh beside a loss that is a mean over examples and draws.

    Source: VMTL's released program; in the bound itself all weigh 1 ("plain ELBO").
    Differs: that program raises the weight of w at every task's turn, by 1e-7 a batch and task, which is
    the default's 4e-7 a batch with four tasks only.

    Args:
        z: Weight of a representation's divergence, summed over its dimensions.
        w: Of a classifier's, summed over classes and dimensions: what it grows by a batch if the
            schedule is "linear", else the weight.
        w_schedule: "linear" from 0, or "constant".
        w_every: Batches after which a linear weight is set anew.

    Raises:
        ValueError: If a number is out of its range.
    """

    z: float = 1e-7
    w: float = 4e-7
    w_schedule: Literal["linear", "constant"] = "linear"
    w_every: int = 10

    def __post_init__(self) -> None:
        if not all(0 <= own < math.inf for own in (self.z, self.w)) or self.w_every < 1:
            raise ValueError(
                f"Weights of divergences should be finite and 0 or more, and `w_every` 1 or more. Found `z = "
                f"{self.z}`, `w = {self.w}`, `w_every = {self.w_every}`. Set them under "
                f"method.divergences."
            )

    def of_w(self, step: int) -> float:
        """The classifiers' weight in a step, counted from 0."""
        if self.w_schedule == "constant":
            return self.w
        return self.w * (step // self.w_every * self.w_every)

    def identity(self) -> dict[str, Any]:
        """The plain values that stand for it in a training's name."""
        return asdict(self)


@dataclass(frozen=True)
class Temperature:
    """Of the Gumbel softmax: falls to a floor, the faster the longer training has lasted.

    Source: VMTL's released program; its paper does not say.

    Args:
        start: The first.
        floor: The least.
        rate: r: after each `every` batches the temperature is multiplied by exp(-r n), n the number
            of batches so far, `repeats` times; 0 for a constant temperature.
        every: Batches between two changes.
        repeats: None for the number of tasks, as that program's loop has it.

    Raises:
        ValueError: If a number is out of its range.
    """

    start: float = 1.0
    floor: float = 0.5
    rate: float = 3e-5
    every: int = 1000
    repeats: int | None = None

    def __post_init__(self) -> None:
        repeats = 1 if self.repeats is None else self.repeats
        falls = math.inf > self.start >= self.floor > 0 and 0 <= self.rate < math.inf
        if not falls or min(self.every, repeats) < 1:
            raise ValueError(
                f"Temperatures should begin at the floor or above, which should be above 0, the rate "
                f"be 0 or more, `every` and `repeats` 1 or more. Found `start = {self.start}`, `floor "
                f"= {self.floor}`, `rate = {self.rate}`, `every = {self.every}`, `repeats = "
                f"{self.repeats}`. Set them under method.temperature."
            )

    def at(self, step: int, *, num_tasks: int) -> float:
        """In a step, counted from 0."""
        found = self.start
        for change in range(1, step // self.every + 1):
            if found == self.floor:
                break
            factor = math.exp(-self.rate * change * self.every)
            for _ in range(num_tasks if self.repeats is None else self.repeats):
                found = max(found * factor, self.floor)
        return found

    def identity(self) -> dict[str, Any]:
        """The plain values that stand for it in a training's name."""
        return asdict(self)


DIVERGENCES, TEMPERATURE = Divergences(), Temperature()  # the released program's


class Variational(UpdateRule):
    """Steps by loss + weighted KL(q(w) || p(w)) + weighted KL(q(z|x) || p(z|x)).

    Source: Shen et al., Variational Multi-Task Learning with Gumbel-Softmax Priors, NeurIPS 2021,
    supplement A.1, Eq. 4; weights of divergences, temperature and the order of steps as in its
    released program.
    Differs: one optimizer has one state of the shared network; that program has one a task
    (`per_task_optimizers`). "joint" steps once by the mean over tasks, as the bound is written.

    Args:
        divergences: Their weights.
        temperature: Of the Gumbel softmax.
        order: "per_task" for a step by each task in turn, on the same batch, or "joint".
        per_task_optimizers: Whether each task has an optimizer of its own, shared parameters in all.

    Raises:
        ValueError: If every task should have an optimizer, and all step together.
    """

    def __init__(
        self,
        *,
        divergences: Divergences = DIVERGENCES,
        temperature: Temperature = TEMPERATURE,
        order: StepOrder = "per_task",
        per_task_optimizers: bool = False,
    ) -> None:
        if per_task_optimizers and order == "joint":
            raise ValueError(
                "Optimizers of every task should step in turn. Found `per_task_optimizers = true` "
                "and `order = joint`. Set method.order=per_task."
            )
        self.divergences, self.temperature = divergences, temperature
        self.order, self.per_task_optimizers = order, per_task_optimizers
        self._step = 0

    def setup(
        self,
        model: MultiTaskModel,
        tasks: Sequence[Task],
        make_optimizer: MakeOptimizer,
        settings: StepSettings,
    ) -> None:
        """Makes an optimizer, or one a task."""
        assert isinstance(model, VariationalModel)
        self.variational: VariationalModel = model
        super().setup(model, tasks, make_optimizer, settings)
        if self.per_task_optimizers:
            shared = model.shared_parameters()
            self.optimizers = [
                make_optimizer([*shared, *model.task_parameters(task.name)]) for task in tasks
            ]

    def step(self, batch: Batch) -> StepOutput:
        """A step by each task, or one by all."""
        batch, attention = self.variational.prepared(batch)
        temperature = self.temperature.at(self._step, num_tasks=len(self.tasks))
        weight_of_w = self.divergences.of_w(self._step)
        turns = [self.tasks] if self.order == "joint" else [(task,) for task in self.tasks]
        scalars: dict[str, Tensor | float] = {
            "temperature": temperature,
            "kl_w_weight": weight_of_w,
        }
        found: list[Tensor] = []
        for turn, tasks in enumerate(turns):
            optimizer = self.optimizers[turn if self.per_task_optimizers else 0]
            for each in self.optimizers:
                each.zero_grad(set_to_none=True)
            losses, of_z, of_w = self._terms(batch, tasks, attention, temperature)
            bounds = losses.add(of_w, alpha=weight_of_w).add(of_z, alpha=self.divergences.z)
            bounds.mean().backward()  # type: ignore[no-untyped-call]  # torch's backward has no annotations
            scalars["gradient_norm"] = self.move(optimizer)
            found += losses.detach()
            for task, own_z, own_w in zip(tasks, of_z.detach(), of_w.detach(), strict=True):
                scalars[f"kl_z/{task.name}"], scalars[f"kl_w/{task.name}"] = own_z, own_w
        self._step += 1
        return StepOutput(
            {task.name: loss for task, loss in zip(self.tasks, found, strict=True)}, scalars
        )

    def state_dict(self) -> dict[str, Any]:
        """The optimizers' and the number of steps."""
        return super().state_dict() | {"step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        super().load_state_dict(state)
        self._step = state["step"]

    def _terms(
        self, batch: Batch, tasks: Sequence[Task], attention: Any, temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Losses, divergences of z and of w, each [K].

        Raises:
            DivergedError: If a loss is not finite, on any process.
        """
        names = [task.name for task in tasks]
        with self.settings.autocast(next(self.model.parameters()).device):
            logits, of_z, of_w = self.variational.evidence(
                batch,
                names,
                attention=attention,
                temperature=temperature,
                first=self._step == 0,
            )
        draws = len(logits)
        losses = [
            task.loss(logits[:, k].flatten(0, 1), batch.targets[task.name].repeat(draws))
            for k, task in enumerate(tasks)
        ]
        return torch.stack(losses), of_z, of_w
