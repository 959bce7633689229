"""The only training loop."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from mtlrun.core.batch import Batch
from mtlrun.core.distributed import averaged, num_processes, process_index
from mtlrun.core.method import (
    AffinityCollector,
    DivergedError,
    StepOutput,
    StepSettings,
    TrainingPoint,
    UpdateRule,
)
from mtlrun.core.model import MultiTaskModel
from mtlrun.core.task import Task
from mtlrun.engine import distributed
from mtlrun.engine.evaluate import evaluate
from mtlrun.engine.files import append_line, read_tensors, write_tensors
from mtlrun.engine.interrupt import Interrupted, stop, stop_requested
from mtlrun.engine.loader import EvalLoader, TrainLoader
from mtlrun.engine.progress import TrainingProgress
from mtlrun.engine.schedules import Schedule
from mtlrun.engine.seeding import generator_state, seed_everything, set_generator_state
from mtlrun.engine.settings import TrainerSettings
from mtlrun.engine.store import Entry


@dataclass
class Standing:
    """How far a training is; what a checkpoint holds beside the states of its objects.

    Attributes:
        step: Batches trained on.
        seconds: Spent on them.
        best_loss: The least sum of validation losses; infinite before the first evaluation.
        best_step: When it was seen.
        bad_evaluations: Evaluations since.
        log_bytes: Length of the metrics log.
        finished: Whether patience ended the training.
    """

    step: int = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_step: int = 0
    bad_evaluations: int = 0
    log_bytes: int = 0
    finished: bool = False


@dataclass
class Training:
    """One training, from its first step or its last checkpoint to its last step.

    Attributes:
        entry: Where its files lie; only the first process writes.
        rule: Set up with the model.
        model: On its device.
        tasks: Those that are trained.
        observers: Shown every batch before its step.
        train: Batches to learn from.
        val: Batches that `select` and `patience` look at.
        schedule: Of the learning rate.
        trainer: Budgets, checkpoints.
        epochs: Of this training; 0 for none.
        seed: Of the generators that layers draw from.
        phase: For the log and for errors.
        title: For people.
        track: Given the numbers of every line of the log.
        held_out: Batches of the examples that the rule holds out, one a step; None without.
    """

    entry: Entry
    rule: UpdateRule
    model: MultiTaskModel
    tasks: tuple[Task, ...]
    observers: Sequence[AffinityCollector]
    train: TrainLoader
    val: EvalLoader
    schedule: Schedule
    trainer: TrainerSettings
    epochs: int
    seed: int
    phase: str
    title: str
    track: Callable[[Mapping[str, float]], None] | None = None
    held_out: TrainLoader | None = None
    standing: Standing = field(default_factory=Standing)

    def __post_init__(self) -> None:
        self.num_steps = self.rule.num_steps = self.epochs * self.train.steps_per_epoch
        self._device = next(self.model.parameters()).device
        self._base_rates = [
            [group["lr"] for group in optimizer.param_groups] for optimizer in self.rule.optimizers
        ]
        self._losses = torch.zeros(len(self.tasks), device=self._device)
        self._logged_step = 0
        self._saved_at = time.monotonic()
        self._held_out: Iterator[Batch] | None = None

    def restore(self) -> None:
        """Goes on from the last checkpoint, or begins."""
        seed_everything(self.seed)
        state = read_tensors(self.entry.checkpoint) if self.entry.checkpoint.exists() else None
        if state is None or self._lacks_best(state["standing"]):
            if distributed.is_first():
                self.entry.checkpoint.unlink(missing_ok=True)
                self.entry.metrics.unlink(missing_ok=True)
            return
        self.model.load_state_dict(state["model"])
        self.rule.load_state_dict(_on(self._device, state["rule"]))
        for observer, own in zip(self.observers, state["observers"], strict=True):
            observer.load_state_dict(own)
        self.standing = Standing(**state["standing"])
        self._logged_step = state["logged_step"]
        self._restore_share(state["processes"])
        log = self.entry.metrics
        if distributed.is_first() and log.exists():
            os.truncate(log, min(self.standing.log_bytes, log.stat().st_size))

    def _restore_share(self, shares: Sequence[Mapping[str, Any]]) -> None:
        """What was this process's own; another number of processes shares the losses evenly."""
        index = process_index()
        if index < len(shares):
            set_generator_state(shares[index]["generators"])
        own = shares[index : index + 1] if len(shares) == num_processes() else shares
        self._losses = torch.stack([share["losses"] for share in own]).mean(0).to(self._device)

    def _lacks_best(self, standing: Mapping[str, Any]) -> bool:
        """Whether the weights that `select` would choose are gone, so that training starts anew."""
        wanted = self.trainer.select == "best_val" and standing["best_step"] > 0
        return wanted and not self.entry.best.exists()

    def run(self, progress: TrainingProgress) -> None:
        """Trains to the end.

        Raises:
            Interrupted: After a checkpoint, if a signal asks to stop.
            DivergedError: If a loss or gradient is not finite; phase and step are named.
        """
        self.model.train()
        while self.standing.step < self.num_steps and not self.standing.finished:
            epoch, first = divmod(self.standing.step, self.train.steps_per_epoch)
            for batch, seconds_loading in _timed(self.train.batches(epoch, first=first)):
                begin = time.monotonic()
                self.take(batch.to(self._device, non_blocking=True))
                progress.advance(self.standing.step)
                if self.standing.step % self.trainer.log_every == 0:
                    progress.note(self._log_losses(epoch))
                self.standing.seconds += time.monotonic() - begin + seconds_loading
                if self.standing.step % self.train.steps_per_epoch:
                    self._checkpoint_if_due()
            self.rule.epoch_ended()
            if (epoch + 1) % self.trainer.eval_every == 0 or epoch + 1 == self.epochs:
                self._validate(epoch)
            self._checkpoint_if_due(epoch_ended=True)

    def evaluate(self, batches: EvalLoader) -> dict[str, dict[str, float]]:
        """Scores of the model as it stands."""
        return evaluate(self.model, self.tasks, batches.batches(), self.rule.settings)

    def select(self) -> None:
        """Gives the model the weights that `trainer.select` chooses."""
        if self.trainer.select == "best_val" and self.entry.best.exists():
            self.model.load_state_dict(read_tensors(self.entry.best, self._device)["model"])

    def take(self, batch: Batch) -> None:
        """Takes one step on a batch, shown to the observers first."""
        standing = self.standing
        if self.held_out is not None:
            self.rule.held_out = self._next_held_out(self.held_out)
        factor = self.schedule.factor(
            standing.step,
            num_steps=self.num_steps,
            steps_per_epoch=self.train.steps_per_epoch,
        )
        for optimizer, rates in zip(self.rule.optimizers, self._base_rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        try:
            for observer in self.observers:
                observer.observe(self._point(batch))
            output = self.rule.step(batch)
        except DivergedError as error:
            raise DivergedError(
                f"Training `{self.title}`, phase {self.phase}, step {standing.step + 1}: {error} "
                f"Lower optimizer.lr or set trainer.clip_norm; the last checkpoint is kept."
            ) from error
        standing.step += 1
        self._keep(output)

    def _next_held_out(self, loader: TrainLoader) -> Batch:
        """The one that belongs to the next step, also after a resume."""
        if self._held_out is None:
            self._held_out = loader.endless(first=self.standing.step)
        return next(self._held_out).to(self._device, non_blocking=True)

    def _point(self, batch: Batch) -> TrainingPoint:
        optimizer = self.rule.optimizers[0]
        return TrainingPoint(
            self.model,
            self.tasks,
            batch,
            optimizer,
            optimizer.param_groups[0]["lr"],
            self.standing.step,
            self.rule.settings,
        )

    def _keep(self, output: StepOutput) -> None:
        losses = torch.stack([output.losses[task.name] for task in self.tasks])
        self._losses += losses.to(self._losses)
        self._scalars = output.scalars

    def _log_losses(self, epoch: int) -> dict[str, float]:
        count = self.standing.step - self._logged_step
        totals = averaged(self._losses)
        losses = {
            task.name: float(total) / count for task, total in zip(self.tasks, totals, strict=True)
        }
        self._losses = torch.zeros_like(self._losses)
        self._logged_step = self.standing.step
        scalars = {f"train/{task}/loss": loss for task, loss in losses.items()}
        scalars |= {name: float(value) for name, value in self._scalars.items()}
        scalars["lr"] = self.rule.optimizers[0].param_groups[0]["lr"]
        self._log(epoch, scalars)
        return losses

    def _validate(self, epoch: int) -> None:
        scores = self.evaluate(self.val)
        self._log(
            epoch,
            {
                f"val/{task}/{name}": value
                for task, own in scores.items()
                for name, value in own.items()
            },
        )
        standing = self.standing
        loss = sum(own["loss"] for own in scores.values())
        if loss < standing.best_loss:
            standing.best_loss, standing.best_step = loss, standing.step
            standing.bad_evaluations = 0
            if self.trainer.select == "best_val" and distributed.is_first():
                write_tensors(self.entry.best, {"model": self.model.state_dict()})
        else:
            standing.bad_evaluations += 1
            patience = self.trainer.patience
            standing.finished = patience is not None and standing.bad_evaluations >= patience

    def _log(self, epoch: int, scalars: Mapping[str, float]) -> None:
        if not distributed.is_first():
            return
        line = {
            "training": self.entry.key,
            "title": self.title,
            "phase": self.phase,
            "step": self.standing.step,
            "epoch": epoch,
        }
        append_line(self.entry.metrics, json.dumps(line | dict(scalars)))
        if self.track is not None:
            self.track(scalars)

    def _checkpoint_if_due(self, *, epoch_ended: bool = False) -> None:
        every = self.trainer.checkpoint_every
        due = self.standing.step % every == 0 if every is not None else epoch_ended
        old = time.monotonic() - self._saved_at > self.trainer.checkpoint_seconds
        stopping, due = distributed.any_process([stop_requested(), due or old], self._device)
        if stopping or due:
            self.checkpoint()
        if stopping:
            stop()
            raise Interrupted(signal.SIGTERM)  # the signal went to another process

    def checkpoint(self) -> None:
        """Writes all that an exact resume needs."""
        share = {"generators": generator_state(), "losses": self._losses.cpu()}
        shares = distributed.from_all(share)
        if distributed.is_first():
            log = self.entry.metrics
            self.standing.log_bytes = log.stat().st_size if log.exists() else 0
            write_tensors(
                self.entry.checkpoint,
                {
                    "model": self.model.state_dict(),
                    "rule": self.rule.state_dict(),
                    "observers": [dict(observer.state_dict()) for observer in self.observers],
                    "standing": asdict(self.standing),
                    "logged_step": self._logged_step,
                    "processes": shares,
                },
            )
        self._saved_at = time.monotonic()

    _scalars: Mapping[str, Tensor | float] = field(default_factory=dict, init=False)


def step_settings(trainer: TrainerSettings) -> StepSettings:
    """The part of the settings that every step is taken under."""
    return StepSettings(trainer.precision, trainer.clip_norm)


def _on(device: torch.device, state: Any) -> Any:
    """A state with its tensors on a device."""
    return tree_map_only(Tensor, lambda tensor: tensor.to(device), state)


def _timed(batches: Iterator[Batch]) -> Iterator[tuple[Batch, float]]:
    while True:
        begin = time.monotonic()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.monotonic() - begin
