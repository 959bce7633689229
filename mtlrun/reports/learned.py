"""What a run's models learned about themselves: gates, branch points, weights."""

from collections.abc import Mapping
from typing import Any

SHOWN = (  # of all that is known, in this order
    "branch_points", "weights", "alpha", "groups_per_batch",
)  # fmt: skip


def learned_lines(result: Mapping[str, Any]) -> list[str]:
    """A line for each thing learned, such as "alpha: depth 0.51, normals -"; none without them.

    Those of the plan's settings, and those of every training of phase 2; where several trainings
    know the same thing, each line names its tasks.

    Args:
        result: The content of result.json.
    """
    planned = {frozenset(group["tasks"]) for group in result["plan"]["groups"]}
    trained = [
        training
        for training in result["trainings"]
        if training["phase"] == "train" and frozenset(training["tasks"]) in planned
    ]
    settings = result["plan"].get("settings", {})
    lines = []
    for name in SHOWN:
        if isinstance(settings.get(name), Mapping):
            lines.append(f"{_words(name)}: {_by_task(settings[name])}")
            continue
        known = [training for training in trained if _is_told(training, name)]
        for training in known:
            where = f" of {'+'.join(training['tasks'])}" if len(known) > 1 else ""
            lines.append(f"{_words(name)}{where}: {_by_task(training['learned'][name])}")
    return lines


def _is_told(training: Mapping[str, Any], name: str) -> bool:
    """Whether a training tells it; branch points of 1 everywhere are whole private encoders."""
    own = training.get("learned", {}).get(name)
    return isinstance(own, Mapping) and not (name == "branch_points" and set(own.values()) == {1})


def _by_task(own: Mapping[str, Any]) -> str:
    return ", ".join(f"{task} {_value(value)}" for task, value in own.items())


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")
