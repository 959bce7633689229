"""What a method is made of: update rules, weightings, affinity collectors, and the lab it works in."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from mtlrun.core.batch import Batch, TaskName
from mtlrun.core.data import DataSource
from mtlrun.core.distributed import average_, averaged, num_processes
from mtlrun.core.grouping import Affinity, Group, GroupingSolver, Plan
from mtlrun.core.identity import Identified
from mtlrun.core.model import Backbone, MultiTaskModel, task_losses
from mtlrun.core.task import Task
from mtlrun.core.weighting import Weighting

Precision = Literal["fp32", "tf32", "bf16"]
MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class DivergedError(FloatingPointError):
    """A loss or gradient that is not finite; the message names the task, the phase and the step."""


@dataclass(frozen=True)
class StepSettings:
    """How every step is taken, whatever the rule.

    Attributes:
        precision: Of the forward passes; losses and parameters stay in the parameters' type. "tf32"
            is float32 with accelerators' products rounded to 11 bits, backward passes included.
        clip_norm: The largest norm of all gradients together; None for no limit.
    """

    precision: Precision = "fp32"
    clip_norm: float | None = None

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """The context of forward passes on a device."""
        if self.precision == "bf16":
            return torch.autocast(device.type, dtype=torch.bfloat16)
        return nullcontext()


@dataclass(frozen=True)
class StepOutput:
    """What a step tells: each task's loss before it (detached scalar), and numbers for the log."""

    losses: Mapping[TaskName, Tensor]
    scalars: Mapping[str, Tensor | float] = field(default_factory=dict)


class UpdateRule(Identified):
    """How one batch moves the parameters. It owns the step: any number of optimizer steps.

    Attributes:
        model: Set by `setup`, as are the others.
        tasks: T tasks that are trained.
        optimizers: Whose learning rates the schedule sets, once a batch.
        held_out_share: Of the training examples, in [0, 1), that no step's batch is drawn from.
        held_out: A batch of those for the step to come; None where the share is 0.
        num_steps: Batches of the whole training; set before its first step, 0 until then.
        takes_last: Whether training takes its whole budget and its last weights, whatever `select`
            and `patience` say: for models of which evaluations say nothing.
    """

    model: MultiTaskModel
    tasks: tuple[Task, ...]
    settings: StepSettings
    optimizers: list[torch.optim.Optimizer]
    held_out_share: float = 0.0
    held_out: Batch | None = None
    num_steps: int = 0
    takes_last: ClassVar[bool] = False

    def setup(
        self,
        model: MultiTaskModel,
        tasks: Sequence[Task],
        make_optimizer: MakeOptimizer,
        settings: StepSettings,
    ) -> None:
        """Called once before training; a rule with optimizers of its own extends it."""
        self.model, self.tasks, self.settings = model, tuple(tasks), settings
        self.optimizers = [make_optimizer(self.trained_parameters())]

    def trained_parameters(self) -> list[nn.Parameter]:
        """The parameters that the rule's optimizer is given: the shared ones and the tasks'."""
        own = [p for task in self.tasks for p in self.model.task_parameters(task.name)]
        return [*self.model.shared_parameters(), *own]

    @abstractmethod
    def step(self, batch: Batch) -> StepOutput:
        """Moves the parameters by one batch."""

    def epoch_ended(self) -> None:
        """Called after the last step of every pass over the data; nothing by default."""

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs beside the model, as tensors and plain values."""
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        for optimizer, own in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)

    def learned(self) -> Mapping[str, Any]:
        """Facts that training found, worth a line in the result, as plain values; none by default."""
        return {}

    def losses(self, batch: Batch) -> Tensor:
        """[T] each task's loss on a batch, with the graph that leads to it.

        Raises:
            DivergedError: If a loss is not finite, on any process.
        """
        names = [task.name for task in self.tasks]
        with self.settings.autocast(next(self.model.parameters()).device):
            predictions = self.model(batch.inputs, names)
        losses = torch.stack(task_losses(self.tasks, predictions, batch.targets))
        self.check_finite(losses)
        return losses

    def check_finite(self, losses: Tensor) -> None:
        """Raises DivergedError, on every process alike, where a loss [T] is not finite."""
        if bool(torch.isfinite(averaged(losses)).all()):
            return
        bad = [t.name for t, ok in zip(self.tasks, torch.isfinite(losses), strict=True) if not ok]
        raise DivergedError(
            f"The loss of task `{'`, `'.join(bad) or 'of another process'}` should be finite. "
            f"Found {[float(loss) for loss in losses.detach()]} for {[t.name for t in self.tasks]}."
        )

    def check_finite_gradients(self, values: Tensor) -> None:
        """Raises DivergedError where a number [T] that each task's gradient was reduced to is not finite."""
        finite = torch.isfinite(values)
        if bool(finite.all()):
            return
        bad = [task.name for task, ok in zip(self.tasks, finite, strict=True) if not ok]
        raise DivergedError(
            f"The gradient of task `{'`, `'.join(bad)}` should be finite before it is combined with "
            f"those of the others. Found that it is not, in training {[t.name for t in self.tasks]}."
        )

    def move(self, optimizer: torch.optim.Optimizer, *, averaging: bool = True) -> Tensor:
        """Steps an optimizer by the gradients that lie in its parameters.

        Args:
            optimizer: One of the rule's.
            averaging: Whether to average the gradients over the processes first; False if the rule
                has done so.

        Returns:
            The norm of the gradients before clipping, a scalar.

        Raises:
            DivergedError: If a gradient is not finite.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if averaging and num_processes() > 1:
            average_([p.grad for p in parameters if p.grad is not None])
        grads = [p.grad for p in parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(grads)
        if not bool(torch.isfinite(norm)):
            raise DivergedError(
                f"The gradient of {self._not_finite()} should be finite. Found a norm of "
                f"{float(norm)} in training {[task.name for task in self.tasks]}."
            )
        if self.settings.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, self.settings.clip_norm, norm)
        optimizer.step()
        self.model.project()
        return norm

    def _not_finite(self) -> str:
        """Whose gradients are not finite, in words."""

        def bad(parameters: list[nn.Parameter]) -> bool:
            return any(p.grad is not None and not bool(p.grad.isfinite().all()) for p in parameters)

        found = [
            f"task `{task.name}`"
            for task in self.tasks
            if bad(self.model.task_parameters(task.name))
        ]
        found += ["the shared parameters"] if bad(self.model.shared_parameters()) else []
        return " and ".join(found) or "all parameters together"


@dataclass(frozen=True)
class TrainingPoint:
    """Where training stands before a step: what a collector may look at and must not change.

    Attributes:
        model: In training mode.
        tasks: T tasks that are trained jointly.
        batch: The one that the next step is taken on.
        optimizer: The joint rule's, to be read only.
        learning_rate: Of the next step.
        step: The number of steps taken.
        settings: Precision of forward passes.
    """

    model: MultiTaskModel
    tasks: tuple[Task, ...]
    batch: Batch
    optimizer: torch.optim.Optimizer
    learning_rate: float
    step: int
    settings: StepSettings = StepSettings()


class AffinityCollector(Identified):
    """Estimates, while all tasks are trained jointly, what training one does for another."""

    @abstractmethod
    def observe(self, point: TrainingPoint) -> None:
        """Looks at one batch; leaves parameters, buffers, optimizer, gradients and generators as they were."""

    @abstractmethod
    def affinity(self) -> Affinity:
        """The mean of what was observed.

        Raises:
            ValueError: If nothing was.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs, as tensors and plain values."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""


Scores = Mapping[
    TaskName, Mapping[str, float]
]  # by task, by metric; the loss is a metric named "loss"


@dataclass(frozen=True)
class Fitted:
    """A finished training.

    Attributes:
        key: Its name in the store.
        weights: File of the model's state_dict, with the weights that `select` chose; on CPU.
        tasks: Names.
        scores: By split ("val", "test").
        num_steps: Batches trained on.
        num_parameters: Of the model.
        seconds: Spent training, all interruptions included, evaluation excluded.
        peak_memory: In bytes; on the device if it is an accelerator, else of the process.
        reused: Whether it was found finished in the store.
        learned: `MultiTaskModel.learned` of the model and `UpdateRule.learned` of the rule.
    """

    key: str
    weights: Path
    tasks: tuple[TaskName, ...]
    scores: Mapping[str, Scores]
    num_steps: int
    num_parameters: int
    seconds: float
    peak_memory: int
    reused: bool
    learned: Mapping[str, Any] = field(default_factory=dict)


class Lab(Protocol):
    """What a method is given to work with.

    Attributes:
        tasks: All tasks of the data.
        data: The dataset.
        seed: Of the run; every stream of draws is `seed_for(seed, purpose)`.
        given_affinity: A stored affinity to plan from instead of collecting one.
    """

    tasks: tuple[Task, ...]
    data: DataSource
    seed: int
    given_affinity: Affinity | None

    @property
    def solver(self) -> GroupingSolver:
        """Finds groups."""
        ...

    def make_backbone(self, purpose: str = "backbone") -> Backbone:
        """A fresh encoder; the same purpose gives the same initial weights."""
        ...

    def make_weighting(self) -> Weighting:
        """A fresh weighting, as configured."""
        ...

    def fit(
        self,
        rule: UpdateRule,
        model: MultiTaskModel,
        tasks: Sequence[TaskName],
        *,
        phase: Literal["collect", "train"],
        observers: Sequence[AffinityCollector] = (),
        after: Sequence[str] = (),
        epochs: int | None = None,
    ) -> Fitted:
        """Trains a model, or finds the same training in the store, or resumes it.

        Args:
            rule: Not set up yet.
            model: With its initial weights.
            tasks: Names of those that are trained.
            phase: Whose budget of epochs is used.
            observers: Shown every batch before its step; filled also if the training is found.
            after: Keys of trainings whose results went into the model's initial weights.
            epochs: Another budget; 0 to keep and score the model as it is. None for the phase's.
        """
        ...

    def find(
        self,
        rule: UpdateRule,
        model: MultiTaskModel,
        tasks: Sequence[TaskName],
        *,
        phase: Literal["collect", "train"],
    ) -> Fitted | None:
        """The same training if it is finished in the store, else None; trains nothing."""
        ...

    def save_affinity(self, affinity: Affinity) -> None:
        """Writes the run's affinity.json."""
        ...

    def say(self, text: str) -> None:
        """A line for the person who watches."""
        ...


class Method(Identified):
    """A recipe: what phase 1 collects and plans, and what phase 2 trains.

    Attributes:
        takes_weighting: Whether it trains anything by the configured weighting.
        plans_by_val: Whether its plan is chosen by scores on the validation split.
        takes_affinity: Whether it plans from a given affinity.
    """

    takes_weighting: ClassVar[bool] = True
    plans_by_val: ClassVar[bool] = False
    takes_affinity: ClassVar[bool] = False

    def collect(self, lab: Lab) -> Plan:
        """Phase 1; by default nothing is collected and all tasks are one group."""
        return Plan((Group.of([task.name for task in lab.tasks]),))

    @abstractmethod
    def train(self, lab: Lab, plan: Plan) -> dict[Group, Fitted]:
        """Phase 2: every group of the plan, trained."""

    def references(self, lab: Lab) -> Mapping[TaskName, Fitted]:
        """The finished single-task trainings that results are compared with; trains nothing."""
        return {}
