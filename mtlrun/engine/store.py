"""Trained once, used everywhere: finished trainings in folders named by what determines them."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mtlrun.core.data import DataError
from mtlrun.core.files import remove_partial
from mtlrun.engine.files import read_json, write_json

FORMAT = 1  # raised when the same settings begin to give another result


@dataclass(frozen=True)
class Entry:
    """The folder of one training.

    Attributes:
        key: Its name.
        folder: Where it lies.
        settings: All that determines its result.
    """

    key: str
    folder: Path
    settings: Mapping[str, Any]

    @property
    def checkpoint(self) -> Path:
        """The state to resume from, while the training is unfinished."""
        return self.folder / "checkpoint.pt"

    @property
    def best(self) -> Path:
        """The weights with the least validation loss so far."""
        return self.folder / "best.pt"

    @property
    def weights(self) -> Path:
        """The finished model's state_dict."""
        return self.folder / "model.pt"

    @property
    def observers(self) -> Path:
        """The finished collectors' states."""
        return self.folder / "observers.pt"

    @property
    def metrics(self) -> Path:
        """The log: a JSON object a line."""
        return self.folder / "metrics.jsonl"

    @property
    def result(self) -> Path:
        """Written last: its presence means that the training is finished."""
        return self.folder / "result.json"

    def is_finished(self) -> bool:
        """Whether the training's result is there, and all that a run takes from it."""
        return all(path.exists() for path in (self.result, self.weights, self.observers))

    def open(self) -> None:
        """Makes the folder and notes the settings in it; called under the training's lock.

        Raises:
            DataError: If the folder holds a training of other settings.
        """
        remove_partial(self.folder)
        path = self.folder / "settings.json"
        if not path.exists():
            write_json(path, self.settings)
        elif read_json(path) != json.loads(json.dumps(self.settings)):
            raise DataError(
                f"{self.folder} should hold the training that its name stands for. Found other "
                f"settings in {path}. Delete the folder and run again."
            )


class Store:
    """A folder of trainings.

    Args:
        folder: May lie on a file system that several machines share.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entry(self, settings: Mapping[str, Any]) -> Entry:
        """Where the training of these settings lies, or will lie."""
        text = json.dumps({"format": FORMAT} | dict(settings), sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        return Entry(key, self.folder / key, settings)

    @contextmanager
    def locked(self, entry: Entry, on_waiting: Callable[[], None]) -> Iterator[None]:
        """Holds a training's lock, which dies with its process.

        Args:
            entry: The training.
            on_waiting: Called once if another process holds the lock.
        """
        folder = self.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{entry.key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_waiting()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
