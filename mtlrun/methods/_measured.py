"""What training groups of tasks has told about them."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from mtlrun.core.batch import TaskName
from mtlrun.core.method import Lab
from mtlrun.methods._groups import fit_group

ScoreName = Literal["loss", "leading_metric"]


class MeasuredGroups:
    """Validation errors of groups, each trained when it is first asked for.

    Args:
        lab: Trains them, as phase 2 does.
        score: A task's error: its "loss", or its "leading_metric", times -1 where higher is better.
    """

    def __init__(self, lab: Lab, score: ScoreName) -> None:
        self.lab, self.score = lab, score
        self.tasks = {task.name: task for task in lab.tasks}
        self._found: dict[tuple[TaskName, ...], dict[TaskName, float]] = {}

    def errors(self, group: Sequence[TaskName]) -> dict[TaskName, float]:
        """Of each of its tasks, the lower the better."""
        key = tuple(task for task in self.tasks if task in set(group))
        if key not in self._found:
            scores = fit_group(self.lab, key).scores["val"]
            self._found[key] = {task: self._error(task, scores[task]) for task in key}
        return self._found[key]

    def gains(self, group: Sequence[TaskName]) -> dict[TaskName, float]:
        """The share of its error that each task saves beside its single-task training; alone 0.

        Where that error is 0, the difference itself.
        """
        found = {}
        for task, error in self.errors(group).items():
            alone = self.errors([task])[task]
            found[task] = (alone - error) / (abs(alone) or 1.0)
        return found

    def _error(self, task: TaskName, scores: Mapping[str, float]) -> float:
        if self.score == "loss":
            return scores["loss"]
        metric = self.tasks[task].leading_metric
        return -scores[metric] if self.tasks[task].directions[metric] else scores[metric]


def check_score(score: str) -> None:
    """Raises ValueError for a word that is no `ScoreName`."""
    if score not in get_args(ScoreName):
        raise ValueError(
            f"`score` should be one of {', '.join(get_args(ScoreName))}. Found `score = {score!r}`. "
            f"Set method.score."
        )
