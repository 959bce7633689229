"""Every task is trained in all groups at once, by losses that are mixed by a learned assignment."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from mtlrun.core.batch import Batch, TaskName
from mtlrun.core.distributed import num_processes, process_index
from mtlrun.core.method import MakeOptimizer, StepOutput, StepSettings, UpdateRule
from mtlrun.core.model import MultiTaskModel, full_precision, task_losses
from mtlrun.core.seeding import generator_for
from mtlrun.core.task import Task
from mtlrun.updates._assignment import (
    Sample,
    TauSchedule,
    binary_entropy,
    example_losses,
    gumbel_noise,
    mixed,
    shares,
    temperature,
)


@runtime_checkable
class GroupedModel(Protocol):
    """A multi-task model of several groups, each of which predicts every task.

    Attributes:
        num_groups: K.
    """

    num_groups: int

    def logits(self) -> Tensor:
        """[T, K] the parameter: of each task for the groups, rows in the order of its tasks."""
        ...

    def predictions_by_group(
        self, inputs: Any, tasks: Sequence[TaskName]
    ) -> list[dict[TaskName, Any]]:
        """Every group's predictions of some of the tasks."""
        ...


class OneShot(UpdateRule):
    """One optimizer step by the sum over tasks and groups of Z[n, k] L_n(H_kn(E_k(x))).

    Source: Gao et al., DMTG, ICML 2024, arXiv:2407.05082, appendix A, Eq. 2 and 4: losses are mixed, and
    neither features nor predictions. The logits A of Z are parameters like the others: the same
    optimizer, the same batch, no second level.
    Differs: noise is drawn on the CPU and depends on nothing but the seed and the step, so that all
    processes mix alike. The program's variant "batch_relaxed" takes a draw of the relaxed one-hot
    distribution as a constant, by which A would not be trained; "relaxed" passes the gradient on,
    and then is "gumbel": both are the Concrete distribution.

    Args:
        seed: Of the noise.
        sample: What Z is: "gumbel" for softmax((A + g) / tau), one draw a step for the whole batch;
            "batch_gumbel" for one an example, whose losses are then taken alone; "relaxed" for a
            draw of the relaxed one-hot distribution; "softmax" for softmax(A), whatever tau, as in
            the program; "softmax_tau" for softmax(A / tau); "diagonal" for task n in group n, where
            nothing is mixed and A is not read.
        tau: The temperature at the start, above 0. The program's: 2.5 on CelebA, 4 on Taskonomy.
        tau_schedule: "constant", or "linear" or "exp" from `tau` at the first step to `tau_end` at
            the last.
        tau_end: The last temperature; None where it is constant.
        entropy_weight: Of `binary_entropy` of A, which is added to the losses; the program's, where
            it is switched on, 1.2.

    Raises:
        ValueError: If a number is out of range, or a schedule lacks its end.
    """

    def __init__(
        self,
        *,
        seed: int,
        sample: Sample = "gumbel",
        tau: float = 2.5,
        tau_schedule: TauSchedule = "constant",
        tau_end: float | None = None,
        entropy_weight: float = 0.0,
    ) -> None:
        for name, value in (("tau", tau), ("tau_end", tau_end)):
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(
                    f"`{name}` should be finite and above 0. Found `{name} = {value}`. Set "
                    f"method.{name}."
                )
        if tau_schedule != "constant" and tau_end is None:
            raise ValueError(
                f"`tau_end` should be given where the temperature moves. Found `tau_schedule = "
                f"{tau_schedule}` without it. Set method.tau_end."
            )
        if not 0 <= entropy_weight < float("inf"):
            raise ValueError(
                f"`entropy_weight` should be finite and 0 or more. Found `entropy_weight = "
                f"{entropy_weight}`. Set method.entropy_weight."
            )
        self.seed, self.sample = seed, sample
        self.tau, self.tau_schedule = tau, tau_schedule
        self.tau_end = tau if tau_end is None else tau_end
        self.entropy_weight = entropy_weight

    def setup(
        self,
        model: MultiTaskModel,
        tasks: Sequence[Task],
        make_optimizer: MakeOptimizer,
        settings: StepSettings,
    ) -> None:
        """Takes a model of groups, of which all tasks are trained."""
        assert isinstance(model, GroupedModel)
        assert [task.name for task in tasks] == [task.name for task in model.tasks]
        self.groups: GroupedModel = model
        self._step = 0
        super().setup(model, tasks, make_optimizer, settings)

    def step(self, batch: Batch) -> StepOutput:
        """Moves all parameters once; the losses are the mixed ones."""
        tau = self._temperature()
        logits = self.groups.logits()
        self.optimizers[0].zero_grad(set_to_none=True)
        losses = self.losses(batch) if self.sample == "diagonal" else self._mixed(batch, tau)
        total = losses.sum()
        if self.entropy_weight:
            total = total + self.entropy_weight * binary_entropy(logits)
        total.backward()  # type: ignore[no-untyped-call]  # torch's backward has no annotations
        known = logits.detach().softmax(1)
        scalars: dict[str, Tensor | float] = {"gradient_norm": self.move(self.optimizers[0])}
        self._step += 1
        scalars["tau"] = tau
        for task, row in zip(self.tasks, known, strict=True):
            for k, share in enumerate(row.unbind()):
                scalars[f"assignment/{task.name}/{k}"] = share
        return StepOutput(
            {t.name: own for t, own in zip(self.tasks, losses.detach(), strict=True)}, scalars
        )

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's, and the number of steps taken, which names the next noise."""
        return super().state_dict() | {"step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        super().load_state_dict(state)
        self._step = state["step"]

    def _temperature(self) -> float:
        progress = min(1.0, self._step / max(1, self.num_steps - 1))
        return temperature(progress, tau=self.tau, tau_end=self.tau_end, schedule=self.tau_schedule)

    def _mixed(self, batch: Batch, tau: float) -> Tensor:
        """[T] each task's losses in all groups, mixed; checked to be finite."""
        names = [task.name for task in self.tasks]
        logits = self.groups.logits()
        with self.settings.autocast(logits.device):
            predictions = self.groups.predictions_by_group(batch.inputs, names)
        generator = generator_for(self.seed, f"assignment/{self._step}")
        if self.sample == "batch_gumbel":
            losses = self._mixed_by_example(predictions, batch, tau, generator)
        else:
            found = [torch.stack(task_losses(self.tasks, p, batch.targets)) for p in predictions]
            losses = mixed(torch.stack(found, dim=1), self._shares(logits, tau, generator))
        self.check_finite(losses)
        return losses

    def _shares(self, logits: Tensor, tau: float, generator: torch.Generator) -> Tensor:
        """Z [T, K] of a step."""
        if self.sample == "softmax":
            return shares(logits)
        if self.sample == "softmax_tau":
            return shares(logits, tau=tau)
        if self.sample == "relaxed":
            logits = logits.log_softmax(1)
        return shares(logits, tau=tau, noise=gumbel_noise(logits.shape, generator))

    def _mixed_by_example(
        self,
        predictions: Sequence[Mapping[TaskName, Any]],
        batch: Batch,
        tau: float,
        generator: torch.Generator,
    ) -> Tensor:
        """[T] each task's loss, where every example has an assignment of its own."""
        means = []
        for task, logits in zip(self.tasks, self.groups.logits(), strict=True):
            target = batch.targets[task.name]
            own = [full_precision(by_task[task.name]) for by_task in predictions]
            losses = torch.stack(
                [example_losses(task, one, target) for one in own], dim=1
            )  # [B, K]
            size = len(losses)
            noise = gumbel_noise((size * num_processes(), self.groups.num_groups), generator)
            noise = noise[size * process_index() :][:size]
            means.append(mixed(losses, shares(logits, tau=tau, noise=noise)).mean())
        return torch.stack(means)
