"""Folders of runs that nobody trained, in the layout of real ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Scores = Mapping[str, Mapping[str, float]]
DIRECTIONS = {"segmentation": {"miou": True, "pixel_error": False}, "depth": {"abs_error": False}}
SINGLE: Scores = {
    "segmentation": {"miou": 0.5, "pixel_error": 0.25},
    "depth": {"abs_error": 0.4},
}


def scaled(scores: Scores, factor: float) -> dict[str, dict[str, float]]:
    """Scores that are better by a factor, whatever their direction."""
    return {
        task: {
            metric: value * (factor if DIRECTIONS[task][metric] else 2 - factor)
            for metric, value in own.items()
        }
        for task, own in scores.items()
    }


def config(method: str, **settings: Any) -> dict[str, Any]:
    """A run's configuration; settings are named with `__` for a dot."""
    own: dict[str, Any] = {
        "outputs": "outputs",
        "store": "outputs/store",
        "data": {"_target_": "mtlrun.data.nyuv2.NYUv2", "root": None, "seed": 0},
        "backbone": {"_target_": "mtlrun.backbones.resnet50.ResNet50"},
        "weighting": {"_target_": "mtlrun.weightings.equal.Equal", "reduction": "mean"},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-4},
        "trainer": {
            "epochs": 200, "steps_per_epoch": None, "eval_batches": None, "batch_size": 4,
            "device": "auto",
        },
        "method": {"_target_": f"mtlrun.methods.{method}.X"},
    }  # fmt: skip
    for name, value in settings.items():
        place = own
        *above, last = name.split("__")
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return own


def result(
    method: str, seed: int, scores: Scores, *, data: str = "nyuv2", **settings: Any
) -> dict[str, Any]:
    """The content of result.json."""
    tasks = list(scores)
    groups = [[task] for task in tasks] if method == "single_task" else [tasks]
    directions = {
        task: {metric: DIRECTIONS.get(task, {}).get(metric, True) for metric in own}
        for task, own in scores.items()
    }
    return {
        "format": 1, "data": data, "method": method, "backbone": "resnet50", "weighting": "equal",
        "seed": seed, "config": {"seed": seed, **config(method, **settings)},
        "tasks": [
            {"name": t, "metrics": list(scores[t]), "directions": directions[t]} for t in tasks
        ],
        "plan": {"groups": [{"tasks": g, "serves": g} for g in groups], "settings": {}},
        "given": {"plan": None, "affinity": None},
        "trainings": [
            {
                "key": f"{method}{seed}{'+'.join(g)}", "tasks": g, "phase": "train", "scores": {},
                "num_steps": 100, "num_parameters": 1_000_000, "seconds": 2.0, "learned": {},
                "peak_memory": 2**28, "reused": False,
            }
            for g in groups
        ],
        "select_on": "val", "seconds": {"collect": 1.0, "train": 2.0}, "peak_memory": 2**27,
        "device": "cpu", "versions": {"mtlrun": "0.1.0", "commit": "a"},
        "scores": {"val": scaled_any(scores, 0.9), "test": scores},
        "served_by": {t: g for g in groups for t in g}, "draws": None, "single_task": None,
        "scores_test_selected": None,
    }  # fmt: skip


def scaled_any(scores: Scores, factor: float) -> dict[str, dict[str, float]]:
    """All numbers times a factor."""
    return {task: {name: factor * v for name, v in own.items()} for task, own in scores.items()}


def write_run(top: Path, content: Mapping[str, Any], *, name: str = "default") -> Path:
    """A run's folder with configuration, data and result."""
    folder = top / content["data"] / content["method"] / name / f"seed{content['seed']}"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n")
    (folder / "data.json").write_text('{"kind": "x"}')
    (folder / "result.json").write_text(json.dumps(dict(content)))
    return folder
