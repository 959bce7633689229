"""The command as a process: whole runs, deaths, company, and bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mtlrun._catalogue import conf_folder, options

TINY = (
    "data=scenes", "data.height=16", "data.width=24", "data.num_train=32", "data.num_val=8",
    "data.num_test=8", "data.tasks=[segmentation,depth,normals]", "backbone.width=8",
    "trainer.epochs=6", "trainer.steps_per_epoch=null", "trainer.batch_size=4",
    "trainer.log_every=4", "recipe=none",
)  # fmt: skip
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def _start(folder: Path, words: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "mtlrun", *words],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(folder: Path, *words: str) -> tuple[int, str, str]:
    process = _start(folder, words)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def _result(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("outputs/*/*/*/*/result.json")
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def _kill_when(folder: Path, words: Sequence[str], pattern: str, number: int) -> None:
    """Starts a run and kills it as soon as so many files are there."""
    process = _start(folder, words)
    until = time.monotonic() + 150
    while len(list(folder.glob(pattern))) < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_run_killed_in_both_phases_comes_to_the_same_numbers(tmp_path: Path) -> None:
    words = [*TINY, "method=lookahead", "solver.num_groups=2", "trainer.checkpoint_every=3"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert _run(whole, *words)[0] == 0
    _kill_when(killed, words, "outputs/store/*/checkpoint.pt", 1)
    assert not list(killed.glob("outputs/store/*/result.json"))
    _kill_when(killed, words, "outputs/store/*/settings.json", 2)
    assert len(list(killed.glob("outputs/store/*/result.json"))) >= 1
    code, _, err = _run(killed, *words)
    assert code == 0, err
    assert "reused" in err
    assert _result(killed)["scores"] == _result(whole)["scores"]
    affinities = [json.loads(next(f.glob("outputs/*/*/*/*/affinity.json")).read_text())
                  for f in (whole, killed)]  # fmt: skip
    assert affinities[0] == affinities[1]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_after_a_checkpoint(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    words = [*TINY, "method=hps", "trainer.epochs=400"]
    process = _start(tmp_path, words)
    while not list(tmp_path.glob("outputs/store/*/checkpoint.pt")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "goes on from the last checkpoint" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_two_processes_with_the_same_settings_train_once(tmp_path: Path) -> None:
    words = [*TINY, "method=hps", "trainer.epochs=10"]
    both = [_start(tmp_path, words) for _ in range(2)]
    answers = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    trained = [err.count("steps/s") > 0 for _, err in answers]
    assert sum(trained) == 1
    assert answers[0][0].splitlines()[:5] == answers[1][0].splitlines()[:5]


@pytest.mark.slow
def test_more_groups_train_only_what_is_new(tmp_path: Path) -> None:
    words = [*TINY, "method=tag"]
    assert _run(tmp_path, *words, "solver.num_groups=1")[0] == 0
    code, out, err = _run(tmp_path, "-m", *words, "solver.num_groups=1,2")
    assert code == 0, err
    assert "collect segmentation+depth+normals: reused" in err
    assert [line.split()[1] for line in out.splitlines()[-2:]] == ["reused", "done"]


@pytest.mark.slow
def test_full_precision_and_bf16_both_train(tmp_path: Path) -> None:
    code, _, err = _run(tmp_path, *TINY, "trainer.precision=bf16", "trainer=smoke")
    assert code == 0, err


@pytest.mark.slow
@pytest.mark.parametrize("method", options("method"))
def test_every_method_ends_with_a_complete_folder(tmp_path: Path, method: str) -> None:
    own_data = "override /data@" in (conf_folder() / "method" / f"{method}.yaml").read_text()
    words = [] if own_data else [word for word in TINY if not word.startswith("trainer.")]
    code, out, err = _run(tmp_path, *words, f"method={method}", "trainer=smoke")
    assert code == 0, err
    (folder,) = (path.parent for path in tmp_path.glob("outputs/*/*/*/*/result.json"))
    assert {"config.yaml", "environment.json", "metrics.jsonl", "plan.json", "figures"} <= {
        path.name for path in folder.iterdir()
    }
    assert ("domain_0" if own_data else "segmentation") in out
    assert list(folder.glob("figures/groups.png"))
    assert list(folder.glob("figures/groups.csv"))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["metod=tag"], 2, "Did you mean"),
        (["method=tagg"], 2, "tag"),
        (["trainer.epochs=many"], 2, "trainer.epochs"),
        (["trainer.epochs=0"], 2, "at least 1"),
        (["method=tag", "solver.num_groups=0"], 2, "num_groups"),
        (["method=tag", "solver.num_groups=99"], 2, "num_groups"),
        (["method=tag", "solver.min_size=4"], 2, "min_size"),
        (["method=tag", "solver.num_groups=1", "solver.max_size=2"], 2, "cannot cover the 3 tasks"),
        (["method=tag", "solver=exact", "solver.budgets=[1,1,1]"], 2, "capacities"),
        (
            [
                "method=optimal",
                "solver.num_groups=2",
                "solver.budgets=[2,2,2]",
                "solver.capacities=3",
            ],
            2,
            "Found no such groups",
        ),
        (["plan=nowhere.json"], 2, "nowhere.json"),
        (["trainer.device=cuda:7"], 2, "cuda:7"),
    ],
)
@pytest.mark.slow
def test_bad_input_says_what_should_be_and_trains_nothing(
    tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    got, out, err = _run(tmp_path, *TINY[:8], "trainer=smoke", *words)
    assert got == code, err
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert not list(tmp_path.glob("outputs/store/*/model.pt"))


@pytest.mark.slow
def test_missing_data_names_the_file(tmp_path: Path) -> None:
    code, out, err = _run(tmp_path, "data=ettm1", "data.path=nowhere.csv", "trainer=smoke")
    assert (code, out) == (3, "")
    assert "nowhere.csv" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_read_only_output_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file where the folder should be")
    code, _, err = _run(tmp_path, *TINY[:8], "trainer=smoke")
    assert code == 1
    assert "outputs/scenes/hps" in err
    assert "Set outputs=FOLDER" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_run_goes_on_afterwards(tmp_path: Path) -> None:
    words = [*TINY[:8], "trainer=smoke", "backbone.width=32"]
    limited = f"ulimit -f 100; exec {sys.executable} -m mtlrun {' '.join(words)}"
    done = subprocess.run(
        ["bash", "-c", limited],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "There should be room for outputs/store" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob(".partial-*"))
    assert "Traceback" in next(tmp_path.rglob("error.log")).read_text()
    assert _run(tmp_path, *words)[0] == 0
    assert not list(tmp_path.rglob("error.log"))
