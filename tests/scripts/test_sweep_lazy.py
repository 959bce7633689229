"""The comparison of intervals of collection: what it makes of results."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mtlrun.core.grouping import Affinity
from tests.scripts.loading import imported


@pytest.fixture(scope="module")
def sweep() -> Iterator[ModuleType]:
    """The script as a module."""
    with imported("sweep_lazy") as module:
        yield module


def _result(maes: list[float], seconds: float, groups: list[list[str]]) -> dict[str, Any]:
    scores = {name: {"mae": mae} for name, mae in zip("abc", maes, strict=True)}
    return {
        "scores": {"test": scores},
        "trainings": [
            {"phase": "collect", "seconds": seconds},
            {"phase": "train", "seconds": 1.0},
        ],
        "plan": {"groups": [{"tasks": tasks} for tasks in groups]},
    }


def _keep(folder: Path) -> Namespace:
    values = np.array([[1.0, 0.5, -1.0], [0.5, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    affinity = Affinity(("a", "b", "c"), values, num_observations=7, kind="gain", noise_floor=None)
    for interval in (1, 10):
        path = folder / str(interval) / "seed0" / "affinity.json"
        path.parent.mkdir(parents=True)
        path.write_text(affinity.to_json())
    return Namespace(folder=folder, seeds=[0, 1], intervals=[1, 10])


def test_a_line_compares_with_every_batch_and_with_random_groups(
    sweep: ModuleType, tmp_path: Path
) -> None:
    options = _keep(tmp_path)
    every = [_result([1, 1, 1], 8.0, [["a", "b"], ["c"]]) for _ in range(2)]
    lazy = [
        _result([0.5, 0.5, 1], 2.0, [["c"], ["b", "a"]]),
        _result([0.5, 0.5, 1], 4.0, [["a"], ["b", "c"]]),
    ]
    random = [_result([1, 1, 2], 0.0, []) for _ in range(2)]
    line = sweep.row(10, {1: every, 10: lazy, 0: random}, options)
    assert line["speed-up"] == "3.00"  # of 8 / 2 and 8 / 4
    assert line["total"] == "2.000 +- 0.000"
    assert line["improvement"] == "50.00 +- 0.00"  # 2 below 4
    assert line["same"] == "0.50"
    assert (line["observations"], line["paper's"]) == (7, 8.45)


def test_the_solvers_agree_on_the_collected_gains(sweep: ModuleType, tmp_path: Path) -> None:
    (line,) = sweep.solver_rows(_keep(tmp_path))
    assert line["groups"] == 2
    assert {"exact s", "column_generation s", "mip s"} <= line.keys()
