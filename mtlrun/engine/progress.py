"""What a person sees while something trains: a bar on a terminal, plain lines elsewhere."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_SECONDS_BETWEEN_LINES = 10.0


class Speaker:
    """Says things on stderr.

    Args:
        quiet: True for the processes that do not speak.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A line, as it is."""
        self.console.print(text, markup=False)

    def training(self, title: str, *, num_steps: int, first: int) -> "TrainingProgress":
        """Shows one training from its step `first`."""
        if self.console.is_terminal:
            return _Bar(self.console, title, num_steps, first)
        return _Lines(self, title, num_steps, first)


class TrainingProgress(ABC):
    """Shows how far one training is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def advance(self, step: int) -> None:
        """Called after every step, with the number taken."""

    @abstractmethod
    def note(self, losses: Mapping[str, float]) -> None:
        """The newest losses by task."""

    @abstractmethod
    def close(self) -> None:
        """The training ended or failed."""


class _Bar(TrainingProgress):
    def __init__(self, console: Console, title: str, num_steps: int, first: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}", markup=False),
            console=console,
        )
        self._task = self._progress.add_task(
            title, total=num_steps, completed=first, losses="", rate=""
        )
        self._first, self._begin = first, time.monotonic()
        self._progress.start()

    def advance(self, step: int) -> None:
        rate = (step - self._first) / max(1e-9, time.monotonic() - self._begin)
        self._progress.update(self._task, completed=step, rate=f"{rate:.1f}/s")

    def note(self, losses: Mapping[str, float]) -> None:
        mean = sum(losses.values()) / max(1, len(losses))
        self._progress.update(self._task, losses=f"loss {mean:.3g}")

    def close(self) -> None:
        self._progress.stop()


class _Lines(TrainingProgress):
    def __init__(self, speaker: Speaker, title: str, num_steps: int, first: int) -> None:
        self._speaker, self._title, self._num_steps = speaker, title, num_steps
        self._first = first
        self._begin = self._spoken = time.monotonic()
        self._losses: Mapping[str, float] = {}

    def advance(self, step: int) -> None:
        now = time.monotonic()
        if step < self._num_steps and now - self._spoken < _SECONDS_BETWEEN_LINES:
            return
        self._spoken = now
        rate = (step - self._first) / max(1e-9, now - self._begin)
        left = (self._num_steps - step) / max(1e-9, rate)
        losses = " ".join(f"{task} {loss:.3g}" for task, loss in self._losses.items())
        self._speaker.say(
            f"{self._title}: step {step}/{self._num_steps}, {rate:.1f} steps/s, "
            f"{left:.0f} s left{'; loss ' + losses if losses else ''}"
        )

    def note(self, losses: Mapping[str, float]) -> None:
        self._losses = losses

    def close(self) -> None:
        self._losses = {}
