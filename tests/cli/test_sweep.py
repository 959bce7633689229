"""Runs of a sweep, in processes of their own."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtlrun import cli
from mtlrun._sweep import Planned, run_all
from tests.cli.test_runs import ENVIRONMENT, TINY

# Ends as its first argument says, and then has written a result.
FAKE = """
import pathlib, sys
code, folder = int(sys.argv[1].split("=")[1]), pathlib.Path(sys.argv[2].split("=")[1])
folder.mkdir(parents=True, exist_ok=True)
(folder / ("error.log" if code else "result.json")).write_text("{}")
sys.exit(code)
"""
SLOW = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("checkpoint", flush=True), sys.exit(143)))
print("ready", flush=True)
time.sleep(30)
"""
SWEEP = """
import signal, sys
from mtlrun._sweep import Planned, run_all
from mtlrun.engine.interrupt import Interrupted, catching_signals
from pathlib import Path
try:
    with catching_signals():
        run_all([Planned((f"seed={i}",), Path(f"none{i}")) for i in range(2)],
                command=[sys.executable, "-c", sys.argv[1]])
except Interrupted as stopped:
    sys.exit(128 + stopped.signum)
"""


def _planned(folder: Path, codes: list[int]) -> list[Planned]:
    return [
        Planned((f"code={code}", f"folder={folder / str(number)}"), folder / str(number))
        for number, code in enumerate(codes)
    ]


def test_sweep_goes_on_after_a_failure_and_ends_with_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = _planned(tmp_path, [0, 4, 0])
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "result.json").write_text("{}")
    assert run_all(runs, command=[sys.executable, "-c", FAKE]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1].strip() for line in lines] == ["done", "failed: diverged", "reused"]
    assert str(tmp_path / "1" / "error.log") in lines[1]
    assert str(tmp_path / "2") in lines[2]


def test_sweep_without_failure_ends_with_0(tmp_path: Path) -> None:
    assert run_all(_planned(tmp_path, [0, 0]), command=[sys.executable, "-c", FAKE]) == 0


def test_signal_stops_the_sweep_after_the_run_has_saved_itself(tmp_path: Path) -> None:
    sweep = subprocess.Popen(
        [sys.executable, "-c", SWEEP, SLOW], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert sweep.stdout is not None
    assert sweep.stdout.readline() == "ready\n"
    time.sleep(0.1)
    sweep.send_signal(signal.SIGINT)
    rest, _ = sweep.communicate(timeout=20)
    assert sweep.returncode == 130
    assert rest.splitlines()[0] == "checkpoint"
    assert "interrupted" in rest.splitlines()[1]
    assert "not begun" in rest.splitlines()[2]


def test_all_runs_are_checked_before_the_first_begins(
    conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mtlrun.config.conf_folder", lambda: conf)
    assert cli.main(["-m", "trainer.epochs=1,0", "solver.num_groups=2,x"]) == 2
    error = capsys.readouterr().err
    assert "`epochs` should be at least 1" in error
    assert "`solver.num_groups` should be a whole number. Found `solver.num_groups = 'x'`" in error
    assert error.count("  - ") == 2


@pytest.mark.slow
def test_sizes_of_groups_are_swept_over_one_collection(tmp_path: Path) -> None:
    words = [*TINY, "trainer.epochs=2", "method=lookahead", "solver.num_groups=3"]
    sweep = subprocess.run(
        [sys.executable, "-m", "mtlrun", "-m", *words, "solver.max_size=1,2,3"],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert sweep.returncode == 0, sweep.stderr
    collections = [line for line in sweep.stderr.splitlines() if line.startswith("collect ")]
    reused = [line for line in collections if "reused from the store" in line]
    assert len(reused) == 2  # of three sizes
    affinities = {path.read_text() for path in tmp_path.glob("outputs/**/affinity.json")}
    assert len(affinities) == 1
    plans = [path.read_text() for path in tmp_path.glob("outputs/*/*/*/*/plan.json")]
    assert len(set(plans)) == len(plans) == 3
