"""Runs as submitit's jobs: on this machine, preempted, and what sbatch would be given."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mtlrun._launch import Job, Started
from mtlrun._sweep import Planned, Sweep

submitit = pytest.importorskip("submitit")

from mtlrun._launch_submitit import Slurm, SubmititLocal, Watched  # noqa: E402

# Counts to 3 over its lives: dies by a wish to stop after a step, and goes on from there.
COUNTS = """
import pathlib, signal, sys, time
count, gate = pathlib.Path(sys.argv[1]) / "count", pathlib.Path(sys.argv[1]) / "gate"
wishes = []
signal.signal(signal.SIGTERM, lambda *_: wishes.append(1))
begin = int(count.read_text()) if count.exists() else 0
print("begins at", begin, flush=True)
for step in range(begin, 3):
    count.write_text(str(step + 1))
    while step == 1 and not gate.exists() and not wishes:
        time.sleep(0.02)
    if wishes:
        sys.exit(143)
"""
SBATCH = """#!/bin/sh
cp "$1" {folder}/submitted
echo "Submitted batch job 12"
"""


def _await(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def _ends(started: Started) -> int:
    _await(lambda: started.poll() is not None)
    code = started.poll()
    assert code is not None
    return code


def _counting(folder: Path) -> tuple[SubmititLocal, Job]:
    job = Job((sys.executable, "-c", COUNTS, str(folder)), folder / "run.log")
    return SubmititLocal(folder=folder / "jobs"), job


def test_a_preempted_job_is_queued_again_and_goes_on(tmp_path: Path) -> None:
    launcher, job = _counting(tmp_path)
    (started,) = launcher.start([job])
    _await(lambda: (tmp_path / "count").exists() and (tmp_path / "count").read_text() == "2")
    for task in _children(int(started._job.job_id)):  # type: ignore[attr-defined]
        os.kill(task, signal.SIGUSR2)  # the scheduler's
    _await(lambda: "begins at 2" in job.log.read_text())
    (tmp_path / "gate").touch()
    assert _ends(started) == 0
    assert job.log.read_text() == "begins at 0\nbegins at 2\n"


def test_a_job_that_is_told_to_stop_saves_itself(tmp_path: Path) -> None:
    launcher, job = _counting(tmp_path)
    (started,) = launcher.start([job])
    _await(lambda: (tmp_path / "count").exists() and (tmp_path / "count").read_text() == "2")
    started.stop()
    assert _ends(started) == 143
    assert job.log.read_text() == "begins at 0\n"


def test_a_sweep_of_jobs_goes_on_after_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [Planned((f"{code}",), tmp_path / f"{code}") for code in (0, 3)]
    command = [sys.executable, "-c", "import sys; print('out'); sys.exit(int(sys.argv[1]))"]
    launcher = SubmititLocal(folder=tmp_path / "jobs", n_jobs=2)
    assert Sweep(runs, launcher, command=command).run() == 1
    assert [line.split("  ")[1].strip() for line in capsys.readouterr().out.splitlines()] == [
        "done",
        "failed: data",
    ]
    assert runs[1].log.read_text() == "out\n"


def test_checkpoint_without_a_process_gives_the_same_job_back(tmp_path: Path) -> None:
    watched = Watched(Job(("a",), tmp_path / "log"), patience=3.0)
    again = watched.checkpoint().function
    assert (again.job, again.patience) == (watched.job, 3.0)


def test_slurm_gives_sbatch_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sbatch", "srun", "squeue", "sacct", "scancel"):
        (tmp_path / name).write_text(SBATCH.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    launcher = Slurm(
        folder=tmp_path / "jobs", partition="long", timeout=90, gpus=2, array_parallelism=2,
        additional={"nice": 5},
    )  # fmt: skip
    jobs = [Job((str(k),), tmp_path / f"{k}.log") for k in range(3)]
    assert len(launcher.start(jobs)) == 3
    text = (tmp_path / "submitted").read_text()
    for line in (
        "--array=0-2%2", "--partition=long", "--time=90", "--gpus-per-node=2", "--nice=5",
        "--signal=USR2@120", "--cpus-per-task=4",
    ):  # fmt: skip
        assert line in text


def test_slurm_without_sbatch_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="hydra/launcher=joblib"):
        Slurm(folder=tmp_path)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
