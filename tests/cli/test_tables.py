"""A paper's table as a sweep, really run in miniature: killed, interrupted, failing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_runs import ENVIRONMENT

pytestmark = pytest.mark.slow
SWEEP = ("-m", "experiment=dsmtl/table2", "miniature=true")
TWO = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


def _start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "mtlrun", *SWEEP, *words], cwd=folder, env=ENVIRONMENT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def _finish(process: "subprocess.Popen[str]") -> tuple[int, dict[str, str], str]:
    """The exit code, the outcome of every row, and what was said."""
    out, err = process.communicate(timeout=500)
    cells = [[cell.strip() for cell in line.split("  ") if cell] for line in out.splitlines()]
    return process.returncode, {own[0].partition("=")[2]: own[1] for own in cells}, err


def _results(folder: Path) -> list[Path]:
    return sorted(folder.glob("outputs/*/*/*/*/result.json"))


def _await_results(folder: Path, process: "subprocess.Popen[str]", number: int) -> None:
    until = time.monotonic() + 300
    while len(_results(folder)) < number:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_killed_table_does_only_the_rest(tmp_path: Path) -> None:
    words = ("row=STL,HPS,DSMTL-IL,DSMTL-AL", *TWO)
    sweep = _start(tmp_path, *words)
    _await_results(tmp_path, sweep, 1)
    sweep.kill()
    sweep.communicate()
    time.sleep(3)  # its runs end after a checkpoint
    before = {path: path.stat().st_mtime for path in _results(tmp_path)}
    assert 1 <= len(before) < 4
    code, outcomes, _ = _finish(_start(tmp_path, *words))
    assert code == 0
    assert list(outcomes) == ["STL", "HPS", "DSMTL-IL", "DSMTL-AL"]
    assert sorted(outcomes.values()) == ["done"] * (4 - len(before)) + ["reused"] * len(before)
    assert all(path.stat().st_mtime == moment for path, moment in before.items())
    rows = [json.loads(path.read_text())["row"] for path in _results(tmp_path)]
    assert sorted(rows) == sorted(outcomes)


def test_an_interrupted_table_says_how_to_go_on_and_does(tmp_path: Path) -> None:
    words = ("row=STL,HPS,DSMTL-JL", *TWO)
    sweep = _start(tmp_path, *words)
    _await_results(tmp_path, sweep, 1)
    sweep.send_signal(signal.SIGINT)
    code, outcomes, said = _finish(sweep)
    assert code == 130
    assert "not begun" in outcomes.values() or "interrupted" in outcomes.values()
    assert "The same command goes on" in said
    code, outcomes, _ = _finish(_start(tmp_path, *words))
    assert code == 0
    assert set(outcomes.values()) == {"done", "reused"}


def test_a_row_that_fails_is_reported_and_the_others_stand(tmp_path: Path) -> None:
    words = ("row=HPS,DSMTL-JL", *TWO)
    damaged = _folder_of(tmp_path, "row=HPS")
    damaged.mkdir(parents=True)
    (damaged / "config.yaml").write_text("[")
    code, outcomes, said = _finish(_start(tmp_path, *words))
    assert code == 1
    assert outcomes == {"HPS": "failed: data", "DSMTL-JL": "done"}
    assert f"see {damaged.relative_to(tmp_path)}/run.log" in said
    assert "should hold YAML" in (damaged / "run.log").read_text()


def test_the_table_runs_by_jobs_of_submitit(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    words = ("row=HPS", "hydra/launcher=submitit_local")
    code, outcomes, _ = _finish(_start(tmp_path, *words))
    assert (code, list(outcomes.values())) == (0, ["done"])
    (result,) = _results(tmp_path)
    assert "Folder: " in (result.parent / "run.log").read_text()


def _folder_of(folder: Path, row: str) -> Path:
    found: Any = subprocess.run(
        [sys.executable, "-c", FOLDER, "experiment=dsmtl/table2", row, "miniature=true", "seed=0"],
        env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return folder / found.stdout.strip()


FOLDER = "import sys; from mtlrun.config import compose; print(compose(sys.argv[1:]).folder)"
