"""An optional second place for a run's numbers and figures, whose failures never end the run."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


class Tracker(ABC):
    """Passes numbers and figures on until one failure; that is warned of, and the rest is dropped."""

    _works = True

    def start(self, config: Mapping[str, Any], folder: Path) -> None:
        """Called once, with the resolved configuration and the run's folder."""
        self._try(lambda: self.on_start(config, folder))

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        """Numbers by name at a step."""
        self._try(lambda: self.on_log(scalars, step))

    def image(self, name: str, path: Path) -> None:
        """A PNG file."""
        self._try(lambda: self.on_image(name, path))

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str | float]]
    ) -> None:
        """Rows of texts and numbers under the columns' names."""
        self._try(lambda: self.on_table(name, columns, rows))

    def finish(self) -> None:
        """Called once, at the end."""
        self._try(self.on_finish)

    @abstractmethod
    def on_start(self, config: Mapping[str, Any], folder: Path) -> None:
        """What `start` does."""

    @abstractmethod
    def on_log(self, scalars: Mapping[str, float], step: int) -> None:
        """What `log` does."""

    @abstractmethod
    def on_image(self, name: str, path: Path) -> None:
        """What `image` does."""

    def on_table(  # noqa: B027, as many have no tables
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str | float]]
    ) -> None:
        """What `table` does; nothing where the other place has no tables."""

    @abstractmethod
    def on_finish(self) -> None:
        """What `finish` does."""

    def _try(self, call: Callable[[], None]) -> None:
        if not self._works:
            return
        try:
            call()
        except Exception as error:  # a tracker is foreign code and a service; the run goes on
            self._works = False
            warnings.warn(
                f"{type(self).__name__} failed and is off for the rest of the run ({error!r}). "
                f"The run's metrics.jsonl has everything.",
                RuntimeWarning,
                stacklevel=3,
            )
