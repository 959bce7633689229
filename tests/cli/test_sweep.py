"""Runs of a sweep, in processes of their own."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mtlrun import cli
from mtlrun._launch_local import Processes
from mtlrun._sweep import Planned, Sweep
from tests.cli.test_runs import ENVIRONMENT, TINY

# Ends as its first argument says.
FAKE = """
import sys
code = int(sys.argv[1].split("=")[1])
print("out", flush=True)
print("err", file=sys.stderr)
sys.exit(code)
"""
ON_GPU = """
import os, time
begin = time.time()
time.sleep(0.2)
print(os.environ["CUDA_VISIBLE_DEVICES"], begin, time.time())
"""
SLOW = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("checkpoint", flush=True), sys.exit(143)))
print("ready", flush=True)
time.sleep(30)
"""
SWEEP = """
import signal, sys
from mtlrun._launch_local import Processes
from mtlrun._sweep import Planned, Sweep
from mtlrun.engine.interrupt import Interrupted, catching_signals
from pathlib import Path
n_jobs, folder = int(sys.argv[2]), Path(sys.argv[3])
runs = [Planned((f"seed={i}",), folder / f"{i}") for i in range(3)]
try:
    with catching_signals():
        Sweep(runs, Processes(n_jobs=n_jobs), command=[sys.executable, "-c", sys.argv[1]]).run()
except Interrupted as stopped:
    sys.exit(128 + stopped.signum)
"""


def _planned(folder: Path, codes: list[int]) -> list[Planned]:
    return [
        Planned((f"code={code}", f"folder={folder / str(number)}"), folder / str(number))
        for number, code in enumerate(codes)
    ]


def _await(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def _sweep(runs: list[Planned], **settings: Any) -> Sweep:
    return Sweep(runs, command=[sys.executable, "-c", FAKE], **settings)


def _outcomes(printed: str) -> list[str]:
    return [line.split("  ")[1].strip() for line in printed.splitlines()]


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_sweep_goes_on_after_a_failure_and_ends_with_a_table(
    n_jobs: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = _planned(tmp_path, [0, 4, 0])
    runs[2] = replace(runs[2], is_done=True)
    assert _sweep(runs, launcher=Processes(n_jobs=n_jobs)).run() == 1
    printed = capsys.readouterr()
    assert _outcomes(printed.out) == ["done", "failed: diverged", "reused"]
    assert str(tmp_path / "1" / "run.log") in printed.out.splitlines()[1]
    assert str(tmp_path / "2") in printed.out.splitlines()[2]
    assert (tmp_path / "1" / "run.log").read_text() == "out\nerr\n"
    assert not (tmp_path / "2").exists()
    assert "1 done, 1 failed, 1 reused" in printed.err


def test_sweep_without_failure_ends_with_0(tmp_path: Path) -> None:
    assert _sweep(_planned(tmp_path, [0, 0])).run() == 0


def test_sweep_can_stop_at_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _sweep(_planned(tmp_path, [0, 1, 0]), on_error="stop").run() == 1
    printed = capsys.readouterr()
    assert _outcomes(printed.out) == ["done", "failed", "not begun"]
    assert "The same command goes on" in printed.err


def test_what_a_lone_run_prints_is_shown_and_that_of_several_only_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sweep(_planned(tmp_path / "a", [0])).run() == 0
    assert "out\nerr\n" in capsys.readouterr().err
    _sweep(_planned(tmp_path / "b", [0, 0]), launcher=Processes(n_jobs=2)).run()
    assert "out\nerr\n" not in capsys.readouterr().err


def test_every_gpu_has_one_run_at_a_time(tmp_path: Path) -> None:
    runs = _planned(tmp_path, [0] * 5)
    sweep = Sweep(runs, Processes(gpus=[3, 5]), command=[sys.executable, "-c", ON_GPU])
    assert sweep.run() == 0
    spans: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        gpu, begin, end = run.log.read_text().split()
        spans.setdefault(gpu, []).append((float(begin), float(end)))
    assert spans.keys() == {"3", "5"}
    for own in map(sorted, spans.values()):
        assert all(before[1] <= after[0] for before, after in pairwise(own))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_signal_stops_the_sweep_after_the_runs_have_saved_themselves(
    n_jobs: int, tmp_path: Path
) -> None:
    sweep = subprocess.Popen(
        [sys.executable, "-c", SWEEP, SLOW, str(n_jobs), str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path.cwd(),
    )  # fmt: skip
    logs = [tmp_path / str(k) / "run.log" for k in range(n_jobs)]
    _await(lambda: all(log.exists() and "ready" in log.read_text() for log in logs))
    sweep.send_signal(signal.SIGINT)
    out, err = sweep.communicate(timeout=60)
    assert sweep.returncode == 130
    assert all(log.read_text() == "ready\ncheckpoint\n" for log in logs)
    assert _outcomes(out) == ["interrupted"] * n_jobs + ["not begun"] * (3 - n_jobs)
    assert "The same command goes on" in err


def test_runs_end_after_a_checkpoint_when_their_sweep_is_killed(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    code = f"""
import pathlib, signal, sys, time
from mtlrun.__main__ import end_with_parent
signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(ended)!r}).touch(), sys.exit(143)))
end_with_parent()
print("ready", flush=True)
time.sleep(60)
"""
    sweep = subprocess.Popen(
        [sys.executable, "-c", SWEEP, code, "2", str(tmp_path)], cwd=Path.cwd()
    )
    log = tmp_path / "1" / "run.log"
    _await(lambda: log.exists() and "ready" in log.read_text())
    sweep.kill()
    sweep.wait()
    _await(ended.exists)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["hydra/launcher=joblb"], "Did you mean `hydra/launcher=joblib`?"),
        (["hydra.launcher.njobs=2"], "Did you mean `hydra.launcher.n_jobs`?"),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=0"], "at least 1, or -1"),
        (["gpus=0,0"], "each once"),
        (["gpus=0,a"], "`gpus` should be numbers of GPUs, each once. Found `gpus=0,a`"),
        (["on_error=ignore"], "`on_error` should be"),
        (["hydra/launcher=submitit_local", "gpus=0"], "`gpus` should be with"),
    ],
)
def test_wrong_launchers_are_named(
    words: list[str], expected: str, conf: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("mtlrun.config.conf_folder", lambda: conf)
    assert cli.main(["-m", "seed=0,1", *words]) == 2
    assert expected in capsys.readouterr().err


def test_words_of_a_sweep_are_refused_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gpus=0,1", "hydra/launcher=joblib"]) == 2
    error = capsys.readouterr().err
    assert error.count("says how a sweep is run. Add -m") == 2


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
