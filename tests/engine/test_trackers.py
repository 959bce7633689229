"""Optional trackers."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imsave

from mtlrun.engine.tensorboard_logger import TensorboardLogger
from mtlrun.engine.tracker import Tracker
from mtlrun.engine.wandb_logger import WandbLogger


class _FakeRun:
    def __init__(self) -> None:
        self.rows: list[Any] = []

    def define_metric(self, *args: Any, **kwargs: Any) -> None:
        self.rows.append((args, kwargs))

    def log(self, row: Any) -> None:
        self.rows.append(row)

    def finish(self) -> None:
        self.rows.append("finished")


def _use(tracker: Tracker, folder: Path) -> None:
    figure = folder / "figure.png"
    imsave(figure, np.zeros((4, 4, 3)))
    tracker.start({"seed": 0, "trainer": {"epochs": 1}}, folder)
    tracker.log({"train/a": 0.5}, 3)
    tracker.image("affinity", figure)
    tracker.table("scores", ["task", "value"], [("a", 0.5)])
    tracker.finish()


def test_wandb_is_given_numbers_figures_and_the_runs_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, asked = _FakeRun(), {}

    def init(**kwargs: Any) -> _FakeRun:
        asked.update(kwargs)
        return run

    module = SimpleNamespace(
        init=init, Image=lambda path: f"image {path}", Settings=dict, Table=lambda **own: own
    )
    monkeypatch.setitem(sys.modules, "wandb", module)
    _use(WandbLogger(project="p", tags=["x"]), tmp_path)
    assert asked["mode"] == "offline"
    assert asked["dir"] == str(tmp_path)
    assert asked["config"]["seed"] == 0
    assert run.rows[1] == {"train/a": 0.5, "step": 3}
    assert run.rows[2] == {"affinity": f"image {tmp_path / 'figure.png'}"}
    assert run.rows[3] == {"scores": {"columns": ["task", "value"], "data": [["a", 0.5]]}}
    assert run.rows[4] == "finished"


def test_failing_tracker_warns_once_and_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**kwargs: Any) -> None:
        raise OSError("no space left")

    module = SimpleNamespace(init=init, Image=str, Settings=dict)
    monkeypatch.setitem(sys.modules, "wandb", module)
    with pytest.warns(RuntimeWarning, match="WandbLogger failed and is off") as caught:
        _use(WandbLogger(), tmp_path)
    assert len(caught) == 1


@pytest.mark.slow
def test_wandb_writes_offline_into_the_runs_folder_and_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    _use(WandbLogger(), tmp_path)
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_tensorboard_writes_events_into_the_runs_folder(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    _use(TensorboardLogger(), tmp_path)
    assert list((tmp_path / "tensorboard").glob("events.*"))
