"""What a run came to, as the content of result.json."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mtlrun.core.distributed import num_processes
from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Fitted, Scores
from mtlrun.core.task import Task
from mtlrun.engine.chosen_on_val import chosen_on_test_data, chosen_on_training_data
from mtlrun.engine.device import peak_memory
from mtlrun.engine.given import given_contents
from mtlrun.engine.lab import Workbench
from mtlrun.engine.record import environment
from mtlrun.engine.settings import RunSetup


def result_of(
    setup: RunSetup,
    lab: Workbench,
    plan: Plan,
    trainings: Mapping[Group, Fitted],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The content of result.json.

    Args:
        setup: Of the run.
        lab: With all that was trained and found.
        plan: What was trained on.
        trainings: Of every group; empty where phase 2 was not run, and then there are no scores.
        seconds: By phase.
    """
    serving = {fitted.key for fitted in trainings.values()}  # phase 2's, whoever trained them
    peaks = [fitted.peak_memory for _, fitted in lab.trainings.values() if not fitted.reused]
    result: dict[str, Any] = {
        "format": 1,
        **{name: setup.choices.get(name) for name in ("data", "method", "backbone", "weighting")},
        "experiment": setup.choices.get("experiment"),
        **{name: setup.config.get(name) for name in ("row", "setting")},  # of the experiment
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
        "given": given_contents(setup),
        "affinity": None if lab.affinity is None else "affinity.json",
        "trainings": [
            _training("train" if fitted.key in serving else phase, fitted)
            for phase, fitted in lab.trainings.values()
        ],
        "select": setup.trainer.select,
        "select_on": setup.select_on,
        "chosen_on_training_data": chosen_on_training_data(setup, plan),
        "chosen_on_test_data": chosen_on_test_data(setup, plan),
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
        "single_task": reference_scores(lab) or None,
    }
    return result


def reference_scores(lab: Workbench) -> dict[str, Any]:
    """Scores of the single-task trainings that the store holds, by task and split."""
    found = lab.setup.method.references(lab)
    return {
        task: {split: own[task] for split, own in fitted.scores.items()}
        for task, fitted in found.items()
    }


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
