"""Hand-made results, in the layout of result.json."""

from collections.abc import Sequence
from typing import Any

import pytest

TASKS = ("HUFL", "HULL", "OT")
GROUPS = (("HUFL", "HULL"), ("HULL", "OT"))
STL = {"HUFL": 0.64, "HULL": 0.37, "OT": 0.15}
MTL = {"HUFL": 0.61, "HULL": 0.36, "OT": 0.16}


def by_split(values: dict[str, float]) -> dict[str, dict[str, dict[str, float]]]:
    """Scores of both splits: the loss, and an MAE that is a tenth larger on the validation split."""
    return {
        split: {task: {"loss": v * v, "mae": scale * v} for task, v in values.items()}
        for split, scale in (("val", 1.1), ("test", 1.0))
    }


def training(tasks: Sequence[str], phase: str = "train", *, reused: bool = False) -> dict[str, Any]:
    return {
        "key": "+".join(tasks), "tasks": list(tasks), "phase": phase,
        "scores": by_split({task: MTL[task] for task in tasks}), "num_steps": 100,
        "num_parameters": 600_000, "seconds": 61.0, "peak_memory": 2**27, "reused": reused,
        "learned": {},
    }  # fmt: skip


@pytest.fixture
def result(tmp_path: Any) -> dict[str, Any]:
    """Two overlapping groups of three series, with all single-task runs."""
    groups = [{"tasks": list(group), "serves": list(group)} for group in GROUPS]
    return {
        "format": 1, "data": "ettm1", "method": "lookahead", "backbone": "autoformer", "seed": 0,
        "folder": str(tmp_path), "config": {},
        "tasks": [
            {"name": task, "metrics": ["mae"], "directions": {"mae": False}} for task in TASKS
        ],
        "plan": {"groups": groups, "objective": 1.5, "bound": 1.5, "status": "optimal"},
        "trainings": [
            training(TASKS, "collect"), training(GROUPS[0]), training(GROUPS[1], reused=True),
        ],
        "scores": by_split(MTL),
        "served_by": {"HUFL": list(GROUPS[0]), "HULL": list(GROUPS[0]), "OT": list(GROUPS[1])},
        "select_on": "val", "scores_test_selected": by_split(MTL | {"HULL": 0.35}), "draws": None,
        "single_task": {
            task: {split: own[task] for split, own in by_split(STL).items()} for task in TASKS
        },
        "seconds": {"collect": 12.34, "train": 3725.0}, "peak_memory": 2**27, "versions": {},
    }  # fmt: skip
