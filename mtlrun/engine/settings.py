"""What a run is told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mtlrun.core.data import DataSource, InputSpec
from mtlrun.core.grouping import GroupingSolver
from mtlrun.core.method import MakeOptimizer, Method, Precision
from mtlrun.core.model import Backbone
from mtlrun.core.weighting import Weighting
from mtlrun.engine.schedules import Schedule

_COUNTS = (
    "epochs", "collect_epochs", "steps_per_epoch", "batch_size", "eval_batch_size", "eval_every",
    "eval_batches", "patience", "checkpoint_every", "log_every",
)  # fmt: skip


@dataclass(frozen=True)
class TrainerSettings:
    """How long and how every training of a run is done.

    Attributes:
        epochs: Passes over the training split.
        collect_epochs: The same for phase 1's trainings; None for `epochs`.
        steps_per_epoch: Batches after which an epoch is cut short; None for a whole pass.
        batch_size: Examples of a step, over all processes.
        eval_batch_size: Examples of an evaluation batch; None for `batch_size`.
        eval_every: Epochs between two evaluations on the validation split.
        eval_batches: Batches after which an evaluation is cut short; None for the whole split.
        select: The weights that are kept: the last, or those with the least sum of validation
            losses. The test split never chooses; where `val` is trained on (`data.val_share=0`) it is
            training data that does, with a warning.
        patience: Evaluations without a better sum of validation losses after which training
            stops, with the same warning; None for never.
        precision: Of forward passes: "fp32", "bf16", or "tf32" for float32 whose products accelerators
            round to 11 bits.
        clip_norm: The largest norm of all gradients together; None for no limit.
        num_workers: Processes that load data; 0 for none.
        checkpoint_every: Steps between two checkpoints; None for one an epoch.
        checkpoint_seconds: A checkpoint is also written when the last one is older.
        log_every: Steps between two lines of the metrics log.
        device: "auto" for the accelerator where there is one, else as torch names it.
        deterministic: Whether to ask torch for deterministic algorithms (a warning names those
            that it lacks). They are slower; a resume is exact on the CPU without them too.
    """

    epochs: int = 10
    collect_epochs: int | None = None
    steps_per_epoch: int | None = None
    batch_size: int = 32
    eval_batch_size: int | None = None
    eval_every: int = 1
    eval_batches: int | None = None
    select: Literal["last", "best_val"] = "last"
    patience: int | None = None
    precision: Precision = "fp32"
    clip_norm: float | None = None
    num_workers: int = 0
    checkpoint_every: int | None = None
    checkpoint_seconds: float = 120.0
    log_every: int = 20
    device: str = "auto"
    deterministic: bool = False

    def __post_init__(self) -> None:
        least = dict.fromkeys(_COUNTS, 1) | {"num_workers": 0}
        problems = [
            f"`{name}` should be at least {number}. Found `{name} = {value}`. Set trainer.{name}."
            for name, number in least.items()
            if (value := getattr(self, name)) is not None and value < number
        ]
        if self.clip_norm is not None and not self.clip_norm > 0:
            problems.append(
                f"`clip_norm` should be above 0. Found `clip_norm = {self.clip_norm}`. "
                f"Set trainer.clip_norm=null for no limit."
            )
        if problems:
            raise ValueError(" ".join(problems))


@dataclass(frozen=True)
class RunSetup:
    """All that a run is built from.

    Attributes:
        config: The resolved configuration, as plain values; written to the run's folder.
        choices: The chosen file of every configuration group, such as {"method": "tag"}.
        folder: Of the run.
        store: Of finished trainings; None to keep them in the run's folder only.
        data: The dataset.
        make_backbone: From the data's inputs; random draws come from torch's generator.
        make_weighting: A fresh weighting.
        make_optimizer: From parameters.
        schedule: Of the learning rate.
        method: The recipe.
        solver: Finds groups.
        trainer: Budgets, precision, checkpoints.
        logger: Makes the optional tracker from (config, folder); None for none.
        seed: Of every stream of draws.
        phase: "all", or "collect" to stop after the plan.
        plan: A file to start phase 2 from.
        affinity: A file to plan from.
        select_on: The split that picks the best of several groups that serve a task. "test" is
            PTG's published rule (Section 5.1); both are reported.
        dry_run: Configuration, data, one step and estimates only.
        set_keys: What the command line set, such as "solver.num_groups"; what of it has no effect
            is warned of.
    """

    config: Mapping[str, Any]
    choices: Mapping[str, str]
    folder: Path
    store: Path | None
    data: DataSource
    make_backbone: Callable[[InputSpec], Backbone]
    make_weighting: Callable[[], Weighting]
    make_optimizer: MakeOptimizer
    schedule: Schedule
    method: Method
    solver: GroupingSolver
    trainer: TrainerSettings
    logger: Callable[[Mapping[str, Any], Path], Any] | None = None
    seed: int = 0
    phase: Literal["all", "collect"] = "all"
    plan: Path | None = None
    affinity: Path | None = None
    select_on: Literal["val", "test"] = "val"
    dry_run: bool = False
    set_keys: tuple[str, ...] = ()
