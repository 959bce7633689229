"""What a run came to, in single numbers."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mtlrun.reports.aggregates import Scores

Split = Literal["val", "test"]
Result = Mapping[str, Any]


def scores_of(result: Result, split: Split, chosen_on: Split | None = None) -> Scores | None:
    """By task, by metric; the mean over draws where there are several.

    Args:
        result: The content of result.json.
        split: Whose scores.
        chosen_on: The split that picks the group of a task which several serve; None for the one
            that the run was told.

    Returns:
        None where the run does not know them.
    """
    if chosen_on is None or chosen_on == result["select_on"] or not _has_choice(result):
        own = result["scores"]
    else:
        own = result.get(f"scores_{chosen_on}_selected")
    return None if own is None else own.get(split)


def served_trainings(result: Result) -> list[list[Mapping[str, Any]]]:
    """Phase 2's trainings of the plan's groups: of every draw, or of the one grouping there is."""
    trained = {
        frozenset(training["tasks"]): training
        for training in result["trainings"]
        if training["phase"] == "train"
    }
    draws = [draw["groups"] for draw in result.get("draws") or []]
    groupings = draws or [[group["tasks"] for group in result["plan"]["groups"]]]
    return [
        [trained[frozenset(group)] for group in grouping if frozenset(group) in trained]
        for grouping in groupings
    ]


def num_parameters(result: Result) -> float | None:
    """Of all models that the scores come from; what they have in common counts once. The mean over draws."""
    groupings = served_trainings(result)
    if not all(groupings):
        return None
    return statistics.fmean(_parameters(trained) for trained in groupings)


def step_seconds(result: Result) -> float | None:
    """Of one batch for every model of phase 2, evaluation excluded; as measured by whoever trained it.

    The mean over draws where there are several.
    """
    groupings = served_trainings(result)
    if not all(groupings) or any(own["num_steps"] < 1 for trained in groupings for own in trained):
        return None
    return statistics.fmean(
        sum(own["seconds"] / own["num_steps"] for own in trained) for trained in groupings
    )


def peak_memory(result: Result) -> float | None:
    """Bytes, of the process and of every training; None where it was not measured."""
    peaks = [training.get("peak_memory") or 0 for training in result["trainings"]]
    return max([result.get("peak_memory") or 0, *peaks]) or None


def stored_references(results: Sequence[Result], split: Split) -> Scores | None:
    """Means of the single-task scores that the store held when runs ended; None where one is missing."""
    tasks = [task["name"] for task in results[0]["tasks"]]
    found = [own.get("single_task") or {} for own in results]
    if any(task not in own for own in found for task in tasks):
        return None
    return mean_scores([{task: own[task][split] for task in tasks} for own in found])


def mean_scores(all_scores: Sequence[Scores]) -> Scores:
    """Of several runs, number by number; those that not all of them have are left out."""
    first = all_scores[0]
    return {
        task: {
            metric: statistics.fmean(scores[task][metric] for scores in all_scores)
            for metric in own
            if all(metric in scores.get(task, {}) for scores in all_scores)
        }
        for task, own in first.items()
    }


def _parameters(trained: Sequence[Mapping[str, Any]]) -> int:
    common = [own["learned"].get("common_parameters", 0) for own in trained]
    return int(sum(own["num_parameters"] for own in trained) - sum(common[1:]))


def _has_choice(result: Result) -> bool:
    served = [task for group in result["plan"]["groups"] for task in group["serves"]]
    return not result.get("draws") and len(set(served)) < len(served)
