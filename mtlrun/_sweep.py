"""The runs of a sweep, each in a process of its own, one after another."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mtlrun._terminal import say, table
from mtlrun.engine.interrupt import deferred, stop_requested

POLL_SECONDS = 0.2
MEANINGS = {
    1: "failed", 2: "failed: settings", 3: "failed: data", 4: "failed: diverged",
    130: "interrupted", 143: "interrupted",
}  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """A run of a sweep: its settings and its folder."""

    words: tuple[str, ...]
    folder: Path

    @property
    def is_done(self) -> bool:
        """Whether the folder holds a result."""
        return (self.folder / "result.json").is_file()


def run_all(runs: Sequence[Planned], *, command: Sequence[str] | None = None) -> int:
    """Runs all, goes on after a failure, and prints what became of each.

    Args:
        runs: In order.
        command: Before the settings; this interpreter with mtlrun by default.

    Returns:
        0, or 1 if a run failed.

    Raises:
        Interrupted: If a signal came; the run that it hit has then saved a checkpoint.
    """
    command = command or (sys.executable, "-m", "mtlrun")
    rows: list[list[str]] = []
    num_failed = 0
    with deferred():
        for number, run in enumerate(runs, start=1):
            if stop_requested():
                rows.append([_name(run, runs), "not begun", "", ""])
                continue
            say(f"[{number}/{len(runs)}] mtlrun {' '.join(run.words)}")
            was_done, begin = run.is_done, time.monotonic()
            code = _run(command, run)
            seconds = f"{time.monotonic() - begin:.0f} s"
            num_failed += code != 0
            if code == 0:
                rows.append(
                    [_name(run, runs), "reused" if was_done else "done", seconds, str(run.folder)]
                )
            else:
                log = run.folder / "error.log"
                meaning = MEANINGS.get(code, f"failed: exit code {code}")
                where = str(log) if log.is_file() else "see the messages above"
                rows.append([_name(run, runs), meaning, seconds, where])
        table(["run", "outcome", "time", "folder or log"], rows)
    return 1 if num_failed else 0


def _run(command: Sequence[str], run: Planned) -> int:
    """The exit code of a run; a wish to stop is passed on to it, and its end awaited."""
    child = subprocess.Popen([*command, *run.words], stdin=subprocess.DEVNULL)
    told = False
    while True:
        try:
            code = child.wait(timeout=POLL_SECONDS)
            return code if code >= 0 else 128 - code
        except subprocess.TimeoutExpired:
            if stop_requested() and not told:
                child.terminate()
                told = True
        except KeyboardInterrupt:  # the second Ctrl-C, which the run has got too
            child.terminate()
            child.wait()
            raise


def _name(run: Planned, runs: Sequence[Planned]) -> str:
    """The settings that differ between the runs."""
    common = set(run.words).intersection(*(other.words for other in runs))
    own = [word for word in run.words if word not in common]
    return " ".join(own) or " ".join(run.words) or "default"
