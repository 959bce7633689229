"""What the sweeps have in common: runs of the command, means over seeds, tables."""

import contextlib
import csv
import io
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtlrun.cli import main

Result = Mapping[str, Any]
_beside: list[subprocess.Popen[bytes]] = []  # runs in processes of their own, until they end
DIVERGED = 4  # the command's exit code
WITHOUT_EFFECT = ("store=", "trainer.device=")  # settings that name no other result
# Small pictures and short trainings of the built-in rooms.
SIZES = (
    "data.height=32", "data.width=48", "data.num_train=512", "data.num_val=64", "data.num_test=256",
    "data.cache=disk", "trainer.batch_size=8", "trainer.steps_per_epoch=32",
    "trainer.eval_batch_size=64", "trainer.eval_every=100",
)  # fmt: skip


def common(folder: Path, tasks: Iterable[str], seed: int, epochs: int) -> list[str]:
    """The settings that all runs of a sweep have.

    Args:
        folder: Of the sweep, which holds the store too.
        tasks: Of the built-in rooms.
        seed: Of the run.
        epochs: Of every training.
    """
    return [
        "data=scenes",
        f"data.tasks=[{','.join(tasks)}]",
        f"seed={seed}",
        f"trainer.epochs={epochs}",
        f"store={folder / 'store'}",
        f"data.cache_dir={folder / 'scenes'}",
        *SIZES,
    ]


def run(words: Sequence[str], folder: Path, *, inside: bool = False) -> Result:
    """A run of the command, or its stored result.

    The settings of a finished run are kept beside its result: the same ones need no process.

    Args:
        words: Settings.
        folder: Of the run.
        inside: Whether it runs in this process, which saves the imports of many short ones.

    Raises:
        subprocess.CalledProcessError: If it fails; its own message stands on stderr.
    """
    kept, result = folder / "sweep.json", folder / "result.json"
    told = [word for word in words if not word.startswith(WITHOUT_EFFECT)]
    if not (result.exists() and kept.exists() and json.loads(kept.read_text()) == told):
        own = [*words, f"folder={folder}"]
        command = [sys.executable, "-m", "mtlrun", *own]
        if code := _run_inside(own) if inside else _run_beside(command):
            raise subprocess.CalledProcessError(code, command)
        kept.write_text(json.dumps(told), encoding="utf-8")
    found: Result = json.loads(result.read_text(encoding="utf-8"))
    return found


def pass_on_sigterm() -> None:
    """From here on SIGTERM ends the runs that this process has begun, after a checkpoint, and then itself."""
    signal.signal(signal.SIGTERM, _end)


def _end(number: int, _: object) -> None:
    for process in (*multiprocessing.active_children(), *_beside):
        process.terminate()
    raise SystemExit(128 + number)


def _run_beside(command: Sequence[str]) -> int:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _beside.append(process)
        try:
            return process.wait()
        finally:
            _beside.remove(process)  # whose end `with` waits for


def _run_inside(words: Sequence[str]) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        code = main(words)
    if code == 128 + signal.SIGTERM:
        os._exit(code)  # a pool's process would go on with the next run
    return code


def seconds(results: Sequence[Result]) -> int:
    """Of all trainings of a run, the mean over runs."""
    return round(statistics.fmean(sum(t["seconds"] for t in r["trainings"]) for r in results))


def deviation(values: Sequence[float]) -> float:
    """The sample standard deviation; 0 of one value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def write(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], path: Path) -> None:
    """The table as CSV; what a row lacks is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The table in lines of text that are one in Markdown too; what a row lacks is a dash."""
    lines = [list(columns), *([str(own.get(name, "-")) for name in columns] for own in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    cells = (
        [line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]
        for line in (lines[0], rule, *lines[1:])
    )
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
