"""What a method works with: trains what it is asked for, at most once."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from mtlrun.core.data import ClassAligned, Split
from mtlrun.core.distributed import from_first, num_processes
from mtlrun.core.grouping import Affinity, GroupingSolver
from mtlrun.core.identity import identity_of
from mtlrun.core.method import AffinityCollector, Fitted, UpdateRule
from mtlrun.core.model import Backbone, MultiTaskModel
from mtlrun.core.seeding import seed_for, seeded
from mtlrun.core.weighting import Weighting
from mtlrun.engine import distributed
from mtlrun.engine.device import device_named, peak_memory, reset_peak_memory
from mtlrun.engine.files import read_tensors, write_text
from mtlrun.engine.finished import finish, read_fitted
from mtlrun.engine.fit import Training, step_settings
from mtlrun.engine.given import read_affinity
from mtlrun.engine.interrupt import deferred
from mtlrun.engine.loader import EvalLoader, TrainLoader, held_out
from mtlrun.engine.progress import Speaker
from mtlrun.engine.settings import RunSetup, TrainerSettings
from mtlrun.engine.store import Entry, Store

Phase = Literal["collect", "train"]

# Settings that not every run asks for.
_ASKED_FOR = ("solver", "weighting", "method.collector", "trainer.collect_epochs")
_SCORED: tuple[Literal["val", "test"], ...] = ("val", "test")


@dataclass(frozen=True)
class Assignment:
    """One training that a method asks for; the attributes are the arguments of `Lab.fit`."""

    rule: UpdateRule
    model: MultiTaskModel
    tasks: tuple[str, ...]
    phase: Phase
    observers: tuple[AffinityCollector, ...] = ()
    after: tuple[str, ...] = ()
    epochs: int | None = None

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.phase} {'+'.join(self.tasks)}"


class Workbench:
    """The `Lab` of a run.

    Args:
        setup: Of the run.
        speaker: Tells the person who watches.
    """

    def __init__(self, setup: RunSetup, speaker: Speaker) -> None:
        self.setup, self.speaker = setup, speaker
        self.data, self.seed = setup.data, setup.seed
        self.tasks = setup.data.tasks
        self.given_affinity = (
            None if setup.affinity is None else read_affinity(setup.affinity, self._names())
        )
        self.device = distributed.start(device_named(setup.trainer.device))
        self.affinity: Affinity | None = None
        self.trainings: dict[str, tuple[Phase, Fitted]] = {}
        self.metrics_logs: list[Path] = []
        self.tracker: Any = None
        self._store = Store(setup.folder / "store" if setup.store is None else setup.store)
        self._steps_tracked = 0
        self._used: set[str] = set()
        self._warned_of_statistics = self._warned_of_batches = False

    @property
    def solver(self) -> GroupingSolver:
        """Finds groups."""
        self._used.add("solver")
        return self.setup.solver

    def make_backbone(self, purpose: str = "backbone") -> Backbone:
        """A fresh encoder; the same purpose gives the same initial weights."""
        with seeded(self.seed, purpose):
            return self.setup.make_backbone(self.data.inputs)

    def make_weighting(self) -> Weighting:
        """A fresh weighting, as configured."""
        self._used.add("weighting")
        with seeded(self.seed, "weighting"):
            weighting = self.setup.make_weighting()
        weighting.check([task.name for task in self.tasks])
        return weighting

    def say(self, text: str) -> None:
        """A line for the person who watches."""
        self.speaker.say(text)

    def without_effect(self) -> list[str]:
        """What the command line set and no part of the run has asked for."""
        idle = [place for place in _ASKED_FOR if place not in self._used]
        if self.setup.phase == "collect":  # phase 2 may ask yet
            idle = [place for place in idle if place != "weighting"]
        return [
            key
            for key in self.setup.set_keys
            if any(key == place or key.startswith(f"{place}.") for place in idle)
        ]

    def track(self, scalars: Mapping[str, float]) -> None:
        """Gives the optional tracker numbers, a step of its own after those before."""
        if self.tracker is not None and scalars:
            self._steps_tracked += 1
            self.tracker.log(scalars, self._steps_tracked)

    def save_affinity(self, affinity: Affinity) -> None:
        """Writes the run's affinity.json."""
        self.affinity = affinity
        if distributed.is_first() and not self.setup.dry_run:
            write_text(self.setup.folder / "affinity.json", affinity.to_json() + "\n")

    def find(
        self,
        rule: UpdateRule,
        model: MultiTaskModel,
        tasks: Sequence[str],
        *,
        phase: Phase,
    ) -> Fitted | None:
        """The same training if it is finished in the store, else None."""
        entry = self._entry(Assignment(rule, model, tuple(tasks), phase))
        if not from_first(entry.is_finished()):
            return None
        return read_fitted(entry)

    def fit(
        self,
        rule: UpdateRule,
        model: MultiTaskModel,
        tasks: Sequence[str],
        *,
        phase: Phase,
        observers: Sequence[AffinityCollector] = (),
        after: Sequence[str] = (),
        epochs: int | None = None,
    ) -> Fitted:
        """Trains a model, or finds the same training in the store, or resumes it."""
        wanted = Assignment(
            rule, model, tuple(tasks), phase, tuple(observers), tuple(after), epochs
        )
        self._used |= {"method.collector"} if observers else set()
        self._used |= {"trainer.collect_epochs"} if phase == "collect" else set()
        if self.setup.dry_run:
            return self._try(wanted)
        entry = self._entry(wanted)
        if from_first(entry.is_finished()):
            fitted = self._reuse(entry, wanted)
        elif distributed.is_first():
            with self._store.locked(entry, self._wait(wanted.title)):
                fitted = self._train(entry, wanted)
        else:
            fitted = self._train(entry, wanted)
        self.trainings.setdefault(fitted.key, (phase, fitted))  # found again is not reused
        self.metrics_logs.append(entry.metrics)
        return fitted

    def _train(self, entry: Entry, wanted: Assignment) -> Fitted:
        if from_first(entry.is_finished()):  # by the process that held the lock
            return self._reuse(entry, wanted)
        if distributed.is_first():
            entry.open()
        reset_peak_memory(self.device)
        training = self._training(entry, wanted)
        from_first(True)  # nobody looks for a checkpoint before the folder is there
        training.restore()
        title, step, num_steps = wanted.title, training.standing.step, training.num_steps
        if step:
            self.say(f"{title}: resumed at step {step}/{num_steps}.")
        shown = self.speaker.training(title, num_steps=num_steps, first=step)
        with shown as progress, deferred():  # a signal waits for a checkpoint
            training.run(progress)
        training.select()
        scores: dict[str, Any] = {}
        for name in _SCORED:
            scores[name] = training.evaluate(self._eval_loader(name))
        if distributed.is_first():
            finish(entry, training, scores, peak_memory(self.device))
        from_first(True)  # nobody reads before the first has written
        return read_fitted(entry, reused=False)

    def _training(self, entry: Entry, wanted: Assignment) -> Training:
        trainer = self._trainer(wanted.rule)
        model = self._on_device(wanted.model)
        tasks = tuple(task for task in model.tasks if task.name in wanted.tasks)
        wanted.rule.setup(model, tasks, self.setup.make_optimizer, step_settings(trainer))
        train, reserve = self._train_loaders(wanted.rule.held_out_share)
        return Training(
            entry,
            wanted.rule,
            model,
            tasks,
            wanted.observers,
            train,
            self._eval_loader("val"),
            self.setup.schedule,
            trainer,
            self._epochs(wanted),
            self.seed,
            wanted.phase,
            wanted.title,
            self.track,
            reserve,
        )

    def _train_loaders(self, share: float) -> tuple[TrainLoader, TrainLoader | None]:
        """Of the training split, or of what is left of it and of the share held out."""
        trainer, whole = self.setup.trainer, self.data.split("train")
        batch_size = len(whole) if self._takes_whole_passes() else trainer.batch_size

        def loader(split: Split, seed: int, steps: int | None) -> TrainLoader:
            return TrainLoader(
                split,
                batch_size=batch_size,
                seed=seed,
                steps_per_epoch=steps,
                num_workers=trainer.num_workers,
            )

        if not share:
            return loader(whole, self.seed, trainer.steps_per_epoch), None
        rest, reserve = held_out(whole, share, seed=self.seed)
        reserve_seed = seed_for(self.seed, "held_out")
        return loader(rest, self.seed, trainer.steps_per_epoch), loader(reserve, reserve_seed, None)

    def _takes_whole_passes(self) -> bool:
        """Whether a batch is a pass, whatever is set: with fewer examples, classes would not be aligned."""
        if not isinstance(self.data, ClassAligned):
            return False
        if "trainer.batch_size" in self.setup.set_keys and not self._warned_of_batches:
            self._warned_of_batches = True
            self.say(
                f"Warning: `trainer.batch_size` has no effect on training: a batch of this data is a "
                f"whole pass, {len(self.data.split('train'))} examples a task. Set data.per_class."
            )
        return True

    def _on_device(self, model: MultiTaskModel) -> MultiTaskModel:
        model.to(self.device)
        if self._splits_statistics(model) and not self._warned_of_statistics:
            self._warned_of_statistics = True
            self.say(
                "Warning: batch norm takes the statistics of each process's share of the batch: "
                "torch synchronises them on CUDA only. For results that do not depend on the "
                "number of processes choose a backbone without batch norm, such as "
                "backbone=resnet_small backbone.norm=group."
            )
        return distributed.with_synchronised_norm(model, self.device)

    def _splits_statistics(self, model: MultiTaskModel) -> bool:
        """Whether several processes come to other numbers than one."""
        alone = num_processes() == 1 or self.device.type == "cuda"
        return not alone and distributed.has_batch_norm(model)

    def _try(self, wanted: Assignment) -> Fitted:
        """Two steps of a training and one batch of evaluation, timed; nothing is kept."""
        with tempfile.TemporaryDirectory() as folder:
            training = self._training(Entry("dry-run", Path(folder), {}), wanted)
            training.restore()
            training.model.train()
            seconds = 0.0
            for batch in islice(training.train.endless(), 2):
                begin = time.monotonic()
                training.take(batch.to(self.device))
                seconds = time.monotonic() - begin  # the second step is warm
            batches = EvalLoader(self.data.split("val"), batch_size=2, max_batches=1)
            scores = training.evaluate(batches)
        parameters = sum(p.numel() for p in wanted.model.parameters())
        self.say(
            f"{wanted.title}: {parameters:,} parameters, {seconds:.3g} s a step, "
            f"{training.num_steps} steps: about {_duration(seconds * training.num_steps)} "
            f"without evaluations."
        )
        return Fitted(
            f"dry-run {wanted.title}", Path(), wanted.tasks, dict.fromkeys(_SCORED, scores),
            training.num_steps, parameters, seconds * training.num_steps,
            peak_memory(self.device), False,
        )  # fmt: skip

    def _reuse(self, entry: Entry, wanted: Assignment) -> Fitted:
        if wanted.observers:
            states = read_tensors(entry.observers)["observers"]
            for observer, state in zip(wanted.observers, states, strict=True):
                observer.load_state_dict(state)
        self.say(f"{wanted.title}: reused from the store ({entry.key}).")
        return read_fitted(entry)

    def _entry(self, wanted: Assignment) -> Entry:
        trainer = self._trainer(wanted.rule)
        looks = trainer.select == "best_val" or trainer.patience is not None
        splits = self._splits_statistics(wanted.model)
        return self._store.entry(
            {
                "data": identity_of(self.data),
                "model": identity_of(wanted.model),
                "rule": identity_of(wanted.rule),
                "tasks": list(wanted.tasks),
                "observers": identity_of(wanted.observers),
                "after": list(wanted.after),
                "optimizer": self.setup.config["optimizer"],
                "schedule": identity_of(self.setup.schedule),
                "epochs": self._epochs(wanted),
                "steps_per_epoch": trainer.steps_per_epoch,
                "batch_size": trainer.batch_size,
                "select": trainer.select,
                "patience": trainer.patience,
                "eval_every": trainer.eval_every if looks else None,
                "eval_batches": trainer.eval_batches,
                "eval_batch_size": self._eval_batch_size(),
                "precision": trainer.precision,
                "clip_norm": trainer.clip_norm,
                "seed": self.seed,
            }
            | ({"processes": num_processes()} if splits else {})
        )

    def _trainer(self, rule: UpdateRule) -> TrainerSettings:
        trainer = self.setup.trainer
        return replace(trainer, select="last", patience=None) if rule.takes_last else trainer

    def _epochs(self, wanted: Assignment) -> int:
        trainer = self.setup.trainer
        if wanted.epochs is not None:
            return wanted.epochs
        if wanted.phase == "collect" and trainer.collect_epochs is not None:
            return trainer.collect_epochs
        return trainer.epochs

    def _eval_loader(self, split: Literal["val", "test"]) -> EvalLoader:
        trainer = self.setup.trainer
        return EvalLoader(
            self.data.split(split),
            batch_size=self._eval_batch_size(),
            max_batches=trainer.eval_batches,
            num_workers=trainer.num_workers,
        )

    def _eval_batch_size(self) -> int:
        return self.setup.trainer.eval_batch_size or self.setup.trainer.batch_size

    def _wait(self, title: str) -> Callable[[], None]:
        return lambda: self.say(f"{title}: another process trains the same; waiting for it.")

    def _names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
