"""collect -> plan -> train -> evaluate: every method is this."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlrun.core.distributed import from_first
from mtlrun.core.files import write_whole
from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Fitted
from mtlrun.engine import distributed
from mtlrun.engine.chosen_on_val import (
    chosen_on_test_data,
    chosen_on_training_data,
    warning_of,
)
from mtlrun.engine.device import deterministic_algorithms, float32_rounding
from mtlrun.engine.files import write_json, write_text
from mtlrun.engine.given import check_given, check_plan, read_plan
from mtlrun.engine.lab import Workbench
from mtlrun.engine.progress import Speaker
from mtlrun.engine.record import RunRecord
from mtlrun.engine.result import reference_scores, result_of
from mtlrun.engine.settings import RunSetup

Illustrate = Callable[[Path, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        result: The content of result.json; without scores where phase 2 was not run.
        folder: Of the run.
        was_done: Whether the run was found finished.
        speaks: Whether this process is the one that tells people.
    """

    result: Mapping[str, Any]
    folder: Path
    was_done: bool
    speaks: bool


def run(setup: RunSetup, *, illustrate: Illustrate | None = None) -> Outcome:
    """Runs a method from its first step to its result, or resumes it, or finds it done.

    Args:
        setup: All that the run is built from.
        illustrate: Draws the figures from the folder and the result, before the result is written.

    Raises:
        ValueError: If the folder holds a run of other settings, or a file does not fit.
        DataError: If data is missing or corrupt.
        DivergedError: If a loss or gradient is not finite.
        Interrupted: After a checkpoint, if a signal asks to stop.
    """
    for name in ("train", "val", "test"):  # missing files show before any work
        setup.data.split(name)
    lab = Workbench(setup, Speaker())
    try:
        lab.speaker = Speaker(quiet=not distributed.is_first())
        trainer = setup.trainer
        with deterministic_algorithms(trainer.deterministic), float32_rounding(trainer.precision):
            return _run(setup, lab, illustrate)
    finally:
        if lab.tracker is not None:
            lab.tracker.finish()
        distributed.stop()


def _run(setup: RunSetup, lab: Workbench, illustrate: Illustrate | None) -> Outcome:
    record = RunRecord(setup.folder)
    given = None if setup.plan is None else read_plan(setup.plan, lab.tasks)
    if setup.dry_run:
        lab.say("Dry run: two steps of every training; nothing is kept.")
    else:
        if distributed.is_first():
            record.open(setup.config, setup.data.identity())
        done = from_first(record.finished())
        if done is not None:
            check_given(setup, done)
            lab.say(f"Already done: {setup.folder}")
            done = _with_references(lab, record, done)
            return Outcome(
                done | {"folder": str(setup.folder)}, setup.folder, True, distributed.is_first()
            )
        if setup.logger is not None and distributed.is_first():
            lab.tracker = setup.logger(setup.config, setup.folder)
    _say_header(setup, lab)
    if setup.affinity is not None and (given is not None or not setup.method.takes_affinity):
        lab.say("Warning: `affinity` has no effect: nothing is planned from it.")
    warned_of = _warn_of_val(lab, None)
    begin = time.monotonic()
    plan = given if given is not None else from_first(setup.method.collect(lab))
    check_plan(plan, lab.tasks)
    planned = time.monotonic()
    if distributed.is_first() and not setup.dry_run:
        write_text(setup.folder / "plan.json", plan.to_json() + "\n")
    lab.say("Groups: " + "; ".join("+".join(group.tasks) for group in plan.groups))
    _warn_of_val(lab, plan, but=warned_of)
    trainings = {} if setup.phase == "collect" else setup.method.train(lab, plan)
    for key in lab.without_effect():
        lab.say(f"Warning: `{key}` has no effect: nothing in this run asks for it.")
    seconds = {"collect": planned - begin, "train": time.monotonic() - planned}
    result = result_of(setup, lab, plan, trainings, seconds)
    if distributed.is_first() and not setup.dry_run:
        _write(lab, trainings, result, illustrate)
    from_first(True)
    return Outcome(result, setup.folder, False, distributed.is_first())


def _say_header(setup: RunSetup, lab: Workbench) -> None:
    choices = setup.choices
    names = [task.name for task in lab.tasks]
    lab.say(
        f"mtlrun: method {choices.get('method')}, data {choices.get('data')} "
        f"({len(names)} tasks: {', '.join(names)}), backbone {choices.get('backbone')}, "
        f"seed {setup.seed}, device {lab.device}"
    )
    lab.say(f"Folder: {setup.folder}")
    if setup.config.get("backbone", {}).get("weights", "") is None:
        lab.say(
            f"Random initial weights: backbone.weights is null, and papers begin "
            f"{choices.get('backbone')} at pretrained ones. Set backbone.weights=download, or to a "
            f"state_dict file."
        )


def _warn_of_val(lab: Workbench, plan: Plan | None, *, but: Sequence[str] = ()) -> list[str]:
    """Warns of what is chosen by `val` where it is trained or tested on, and says what that is."""
    found = chosen_on_training_data(lab.setup, plan) + chosen_on_test_data(lab.setup, plan)
    if chosen := [text for text in found if text not in but]:
        lab.say(warning_of(lab.setup, chosen))
    return chosen


def _write(
    lab: Workbench,
    trainings: Mapping[Group, Fitted],
    result: Mapping[str, Any],
    illustrate: Illustrate | None,
) -> None:
    record = RunRecord(lab.setup.folder)
    logs = list(dict.fromkeys(lab.metrics_logs))
    write_whole(
        record.folder / "metrics.jsonl",
        lambda partial: partial.write_bytes(
            b"".join(log.read_bytes() for log in logs if log.exists())
        ),
    )
    for group, fitted in trainings.items():
        record.keep_weights(group, fitted.weights)
    if illustrate is not None:
        illustrate(record.folder, result)
    lab.track({f"final/{s}/{task}/{name}": value for s, task, name, value in _score_rows(result)})
    if lab.tracker is not None:
        for figure in sorted((record.folder / "figures").glob("*.png")):
            lab.tracker.image(figure.stem, figure)
        lab.tracker.table("scores", ("split", "task", "metric", "value"), _score_rows(result))
    if lab.setup.phase == "all":
        write_json(record.result, result)


def _score_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str, float]]:
    return [
        (split, task, name, value)
        for split, by_task in result.get("scores", {}).items()
        for task, own in by_task.items()
        for name, value in own.items()
    ]


def _with_references(lab: Workbench, record: RunRecord, done: dict[str, Any]) -> dict[str, Any]:
    """A finished run's result with the single-task trainings that were added to the store since."""
    before = done.get("single_task") or {}
    references = before | reference_scores(lab)
    if references == before:
        return done
    completed = done | {"single_task": references}
    if distributed.is_first():
        write_json(record.result, completed)
    return completed
