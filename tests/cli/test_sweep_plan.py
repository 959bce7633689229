"""What a sweep's command line is understood as."""

from pathlib import Path

import pytest
import yaml

from mtlrun import config
from mtlrun._launch_local import Processes
from mtlrun._sweep_plan import plan


@pytest.fixture(autouse=True)
def _here(conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtlrun.config.conf_folder", lambda: conf)
    monkeypatch.chdir(tmp_path)


def _finish(words: list[str], **changed: object) -> None:
    run = config.compose(words)
    run.folder.mkdir(parents=True)
    (run.folder / "config.yaml").write_text(yaml.safe_dump({**run.values, **changed}))
    (run.folder / "result.json").write_text("{}")


def test_finished_runs_of_the_same_settings_are_not_started() -> None:
    _finish(["seed=1"])
    _finish(["seed=2"], select_on="test")  # of other settings: the run says so when it is started
    broken = config.compose(["seed=3"]).folder
    broken.mkdir(parents=True)
    (broken / "result.json").write_text("{}")
    sweep = plan(["seed=0,1,2,3"], config.compose)
    assert [run.is_done for run in sweep.runs] == [False, True, False, False]
    assert [run.words for run in sweep.runs] == [(f"seed={seed}",) for seed in range(4)]
    assert [run.folder for run in sweep.runs] == [
        config.compose([f"seed={seed}"]).folder for seed in range(4)
    ]


def test_a_run_whose_result_is_damaged_is_started_to_say_so() -> None:
    _finish(["seed=1"])
    (config.compose(["seed=1"]).folder / "result.json").write_text('{"scores": {')
    assert [run.is_done for run in plan(["seed=1"], config.compose).runs] == [False]


def test_words_of_the_sweep_are_not_those_of_its_runs() -> None:
    words = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=3", "on_error=stop"]
    sweep = plan([*words, "trainer.epochs=1,2"], config.compose)
    assert isinstance(sweep.launcher, Processes)
    assert (sweep.launcher.num_at_once, sweep.on_error) == (3, "stop")
    assert [run.words for run in sweep.runs] == [("trainer.epochs=1",), ("trainer.epochs=2",)]


@pytest.mark.parametrize(("text", "number"), [("0", 1), ("2,5", 2), ("[1,2,3]", 3)])
def test_gpus_are_as_many_places_for_runs(text: str, number: int) -> None:
    launcher = plan(["seed=0,1", f"gpus={text}"], config.compose).launcher
    assert launcher.num_at_once == number
