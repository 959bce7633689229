"""A finished training in the store: its files and what a run reads of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtlrun.core.method import Fitted
from mtlrun.engine.files import read_json, write_json, write_tensors
from mtlrun.engine.fit import Training
from mtlrun.engine.store import Entry

RESULT = (  # what a run reads of a training's result.json
    "tasks", "scores", "num_steps", "num_parameters", "seconds", "peak_memory", "learned",
)  # fmt: skip


def finish(entry: Entry, training: Training, scores: Mapping[str, Any], peak: int) -> None:
    """Writes a training's weights, the states of its observers and, last, its result.

    Args:
        entry: Where; its checkpoint is removed.
        training: With the weights that were selected.
        scores: By split.
        peak: The most bytes that were in use.
    """
    model = training.model
    write_tensors(entry.weights, model.state_dict())
    write_tensors(
        entry.observers, {"observers": [dict(o.state_dict()) for o in training.observers]}
    )
    write_json(
        entry.result,
        {
            "key": entry.key,
            "tasks": [task.name for task in training.tasks],
            "scores": scores,
            "num_steps": training.standing.step,
            "best_step": training.standing.best_step,
            "select": training.trainer.select,
            "num_parameters": sum(p.numel() for p in model.parameters()),
            "seconds": training.standing.seconds,
            "peak_memory": peak,
            "learned": {**model.learned(), **training.rule.learned()},
        },
    )
    entry.checkpoint.unlink(missing_ok=True)
    entry.best.unlink(missing_ok=True)


def read_fitted(entry: Entry, *, reused: bool = True) -> Fitted:
    """What a run is told of a finished training.

    Args:
        entry: Where it lies.
        reused: Whether it was found there.

    Raises:
        DataError: If its result is damaged.
    """
    result = read_json(entry.result, keys=RESULT)
    return fitted_of(result, key=entry.key, weights=entry.weights, reused=reused)


def fitted_of(result: Mapping[str, Any], *, key: str, weights: Path, reused: bool) -> Fitted:
    """The same from what was read.

    Args:
        result: With `RESULT`.
        key: The training's name.
        weights: Their file.
        reused: Whether it was found finished.
    """
    return Fitted(
        key,
        weights,
        tuple(result["tasks"]),
        result["scores"],
        result["num_steps"],
        result["num_parameters"],
        result["seconds"],
        result["peak_memory"],
        reused,
        result["learned"],
    )
