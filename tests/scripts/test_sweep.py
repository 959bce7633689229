"""What the sweeps have in common: how their runs begin and end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.scripts.loading import SCRIPTS, imported

# A run that says when it has begun, and ends as the command does: after some time, by a code of its own.
RUN = """#!/bin/sh
trap 'sleep 0.3; echo ended > {file}; exit 143' TERM
echo begun > {file}
while true; do sleep 0.05; done
"""
SWEEP = """
import sys
from pathlib import Path
import _sweep
_sweep.pass_on_sigterm()
_sweep.sys.executable = sys.argv[1]
_sweep.run(["method=hps"], Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def sweep() -> Iterator[ModuleType]:
    """The module."""
    with imported("_sweep") as module:
        yield module


def waited_for(path: Path, text: str) -> bool:
    for _ in range(600):
        if path.exists() and path.read_text() == text:
            return True
        time.sleep(0.1)
    return False


def test_sigterm_ends_the_run_before_the_sweep(tmp_path: Path) -> None:
    file, run = tmp_path / "state", tmp_path / "run.sh"
    run.write_text(RUN.format(file=file))
    run.chmod(0o755)
    words = [sys.executable, "-c", SWEEP, str(run), str(tmp_path / "folder")]
    with subprocess.Popen(words, env=os.environ | {"PYTHONPATH": str(SCRIPTS)}) as process:
        assert waited_for(file, "begun\n")
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
        assert file.read_text() == "ended\n"  # the sweep has waited for it


@pytest.mark.parametrize(("code", "ends"), [(0, False), (4, False), (143, True)])
def test_a_pools_process_takes_no_run_after_a_sigterm(
    sweep: ModuleType, code: int, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(sweep, "main", lambda words: code)
    monkeypatch.setattr(sweep.os, "_exit", ended.append)
    assert sweep._run_inside(["method=hps"]) == code
    assert ended == ([143] if ends else [])


def test_a_run_that_fails_is_an_error_and_leaves_no_mark_of_success(
    sweep: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep.sys, "executable", "/bin/false")
    with pytest.raises(subprocess.CalledProcessError):
        sweep.run(["method=hps"], tmp_path)
    assert not (tmp_path / "sweep.json").exists()
    assert sweep._beside == []
