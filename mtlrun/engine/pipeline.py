"""collect -> plan -> train -> evaluate: every method is this."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from mtlrun.core.distributed import num_processes
from mtlrun.core.files import write_whole
from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Fitted, Scores
from mtlrun.core.task import Task
from mtlrun.engine import distributed
from mtlrun.engine.device import deterministic_algorithms, peak_memory
from mtlrun.engine.files import write_json, write_text
from mtlrun.engine.lab import Workbench
from mtlrun.engine.progress import Speaker
from mtlrun.engine.record import RunRecord, environment
from mtlrun.engine.settings import RunSetup

MAX_LENGTH = 100  # of the name of a file of weights
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
        with deterministic_algorithms(setup.trainer.deterministic):
            return _run(setup, lab, illustrate)
    finally:
        if lab.tracker is not None:
            lab.tracker.finish()
        distributed.stop()


def _run(setup: RunSetup, lab: Workbench, illustrate: Illustrate | None) -> Outcome:
    record = RunRecord(setup.folder)
    given = None if setup.plan is None else _read_plan(setup.plan, lab.tasks)
    if setup.dry_run:
        lab.say("Dry run: two steps of every training; nothing is kept.")
    else:
        if distributed.is_first():
            record.open(setup.config, setup.data.identity())
        done = distributed.from_first(record.finished())
        if done is not None:
            _check_given(setup, done)
            lab.say(f"Already done: {setup.folder}")
            done = _with_references(lab, record, done)
            return Outcome(
                {**done, "folder": str(setup.folder)}, setup.folder, True, distributed.is_first()
            )
        if setup.logger is not None and distributed.is_first():
            lab.tracker = setup.logger(setup.config, setup.folder)
    _say_header(setup, lab)
    begin = time.monotonic()
    plan = given if given is not None else distributed.from_first(setup.method.collect(lab))
    _check_plan(plan, lab.tasks)
    if setup.affinity is not None and lab.affinity is None:
        lab.say("Warning: `affinity` has no effect: nothing was planned from it.")
    planned = time.monotonic()
    if distributed.is_first() and not setup.dry_run:
        write_text(setup.folder / "plan.json", plan.to_json() + "\n")
    lab.say("Groups: " + "; ".join("+".join(group.tasks) for group in plan.groups))
    trainings = {} if setup.phase == "collect" else setup.method.train(lab, plan)
    for key in lab.without_effect():
        lab.say(f"Warning: `{key}` has no effect: nothing in this run asks for it.")
    seconds = {"collect": planned - begin, "train": time.monotonic() - planned}
    result = _result(setup, lab, plan, trainings, seconds)
    if distributed.is_first() and not setup.dry_run:
        _write(lab, trainings, result, illustrate)
    distributed.from_first(True)
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
        record.keep_weights(_weights_name(group), fitted.weights)
    if illustrate is not None:
        illustrate(record.folder, result)
    lab.track(
        {
            f"final/{split}/{task}/{name}": value
            for split, by_task in result.get("scores", {}).items()
            for task, own in by_task.items()
            for name, value in own.items()
        }
    )
    if lab.tracker is not None:
        for figure in sorted((record.folder / "figures").glob("*.png")):
            lab.tracker.image(figure.stem, figure)
    if lab.setup.phase == "all":
        write_json(record.result, result)


def _weights_name(group: Group) -> str:
    """A file's name: the tasks, or as many as fit and a hash of all."""
    name = "+".join(group.tasks)
    if len(name) <= MAX_LENGTH:
        return name
    return f"{name[: MAX_LENGTH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _read_plan(path: Path, tasks: Sequence[Task]) -> Plan:
    if not path.is_file():
        raise ValueError(f"`plan` should be a file. Found nothing at {path}.")
    try:
        plan = Plan.from_json(path.read_text(encoding="utf-8"))
        _check_plan(plan, tasks)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return plan


def _given(setup: RunSetup) -> dict[str, str | None]:
    """The contents, as hashes, of the files that the run starts from."""
    paths = {"plan": setup.plan, "affinity": setup.affinity}
    return {
        name: None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in paths.items()
    }


def _check_given(setup: RunSetup, done: Mapping[str, Any]) -> None:
    for name, content in _given(setup).items():
        if done.get("given", {}).get(name) != content:
            raise ValueError(
                f"The folder {setup.folder} should be of a run with this {name}. Found one whose "
                f"{name} had another content. Set folder=ANOTHER, or delete it."
            )


def _check_plan(plan: Plan, tasks: Sequence[Task]) -> None:
    names = {task.name for task in tasks}
    groupings = plan.draws or (plan.groups,)
    planned = set(chain.from_iterable(group.tasks for group in plan.groups))
    if planned - names:
        raise ValueError(
            f"A plan's tasks should be among {', '.join(sorted(names))}. "
            f"Found {', '.join(sorted(planned - names))}."
        )
    for grouping in groupings:
        missing = names - set(chain.from_iterable(group.serves for group in grouping))
        if missing:
            raise ValueError(
                f"A plan should serve every task. Found no group that serves "
                f"{', '.join(sorted(missing))}."
            )


def _result(
    setup: RunSetup,
    lab: Workbench,
    plan: Plan,
    trainings: Mapping[Group, Fitted],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    peaks = [fitted.peak_memory for _, fitted in lab.trainings.values() if not fitted.reused]
    result: dict[str, Any] = {
        "format": 1,
        **{name: setup.choices.get(name) for name in ("data", "method", "backbone", "weighting")},
        "seed": setup.seed,
        "folder": str(setup.folder),
        "config": dict(setup.config),
        "tasks": [
            {
                "name": task.name,
                "metrics": list(task.metrics),
                "directions": dict(task.directions),
            }
            for task in lab.tasks
        ],
        "plan": json.loads(plan.to_json()),
        "given": _given(setup),
        "affinity": None if lab.affinity is None else "affinity.json",
        "trainings": [_training(phase, fitted) for phase, fitted in lab.trainings.values()],
        "select": setup.trainer.select,
        "select_on": setup.select_on,
        "seconds": dict(seconds),
        "peak_memory": max([peak_memory(lab.device), *peaks]),
        "device": str(lab.device),
        "num_processes": num_processes(),
        "versions": environment(),
    }
    if not trainings:
        return result
    groupings = plan.draws or (plan.groups,)
    chosen = [_serve(lab.tasks, grouping, trainings, setup.select_on) for grouping in groupings]
    other = "test" if setup.select_on == "val" else "val"
    alternative = _serve(lab.tasks, groupings[0], trainings, other)
    result |= {
        "scores": chosen[0][1] if not plan.draws else _mean([scores for _, scores in chosen]),
        "served_by": {task: list(group.tasks) for task, group in chosen[0][0].items()},
        f"scores_{other}_selected": alternative[1] if not plan.draws else None,
        "draws": [
            {"groups": [list(group.tasks) for group in grouping], "scores": scores}
            for grouping, (_, scores) in zip(groupings, chosen, strict=True)
        ]
        if plan.draws
        else None,
        "single_task": _references(lab) or None,
    }
    return result


def _references(lab: Workbench) -> dict[str, Any]:
    """Scores of the single-task trainings that the store holds, by task and split."""
    found = lab.setup.method.references(lab)
    return {
        task: {split: own[task] for split, own in fitted.scores.items()}
        for task, fitted in found.items()
    }


def _with_references(
    lab: Workbench, record: RunRecord, done: Mapping[str, Any]
) -> Mapping[str, Any]:
    """A finished run's result with the single-task trainings that were added to the store since."""
    before = done.get("single_task") or {}
    references = before | _references(lab)
    if references == before:
        return done
    completed = {**done, "single_task": references}
    if distributed.is_first():
        write_json(record.result, completed)
    return completed


def _training(phase: str, fitted: Fitted) -> dict[str, Any]:
    return {
        "key": fitted.key,
        "tasks": list(fitted.tasks),
        "phase": phase,
        "scores": fitted.scores,
        "num_steps": fitted.num_steps,
        "num_parameters": fitted.num_parameters,
        "seconds": fitted.seconds,
        "peak_memory": fitted.peak_memory,
        "reused": fitted.reused,
        "learned": dict(fitted.learned),
    }


def _serve(
    tasks: Sequence[Task],
    grouping: Sequence[Group],
    trainings: Mapping[Group, Fitted],
    split: str,
) -> tuple[dict[str, Group], dict[str, Scores]]:
    """For each task the group that is best for it on a split, and its scores on all splits."""
    served: dict[str, Group] = {}
    for task in tasks:
        candidates = [group for group in grouping if task.name in group.serves]
        sign = 1 if task.directions[task.leading_metric] else -1

        def score(group: Group, task: Task = task, sign: int = sign) -> float:
            value = trainings[group].scores[split][task.name][task.leading_metric]
            return sign * value if not math.isnan(value) else float("-inf")

        served[task.name] = max(candidates, key=score)
    scores: dict[str, Scores] = {
        name: {task: trainings[group].scores[name][task] for task, group in served.items()}
        for name in ("val", "test")
    }
    return served, scores


def _mean(all_scores: Sequence[Mapping[str, Scores]]) -> dict[str, Any]:
    first = all_scores[0]
    return {
        split: {
            task: {
                name: sum(scores[split][task][name] for scores in all_scores) / len(all_scores)
                for name in own
            }
            for task, own in by_task.items()
        }
        for split, by_task in first.items()
    }
