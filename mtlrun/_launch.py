"""What a launcher is: the thing that a sweep gives its runs to, each for a process of its own.

Hydra's launcher plugins are not used: they run jobs in the process of the sweep or in workers that
live on between jobs, know no finished and no interrupted runs, and end a whole sweep with one
`sys.exit`. The words are Hydra's (`hydra/launcher=NAME`, `hydra.launcher.KEY=VALUE`); NAME is a file
in conf/launcher, whose keys are the arguments of a class here. (In conf/hydra/launcher Hydra would
merge `basic` with its own.)
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mtlrun._terminal import say


@dataclass(frozen=True)
class Job:
    """A run to start.

    Attributes:
        command: With all its words.
        log: The file that takes what it prints.
    """

    command: tuple[str, ...]
    log: Path


class Started(Protocol):
    """A run that was started."""

    def poll(self) -> int | None:
        """Its exit code, 128 + N where signal N ended it; None while it runs or waits."""

    def stop(self) -> None:
        """Asks it to end, after a checkpoint."""

    def kill(self) -> None:
        """Ends it without asking."""


class Launcher(ABC):
    """Starts runs.

    Attributes:
        num_at_once: How many runs it takes at a time; None for all, which it queues itself.
        echoes: Whether what a run prints is shown as it comes, besides being logged.
        poll_seconds: Between two questions of how a run is.
    """

    num_at_once: int | None
    echoes: bool = False
    poll_seconds: float = 0.1

    @abstractmethod
    def start(self, jobs: Sequence[Job]) -> list[Started]:
        """Starts some, no more than there is room for."""


class Echo:
    """Shows what is added to a file.

    Args:
        path: Of the file, which may not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = path.stat().st_size if path.exists() else 0

    def show(self) -> None:
        """What has come since the last call, but for a line that has not ended."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._place)
            whole, end, _ = file.read().rpartition(b"\n")
        self._place += len(whole) + len(end)
        if end:
            say(whole.decode("utf-8", errors="replace"))
