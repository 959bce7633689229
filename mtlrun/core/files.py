"""Files that are whole or not there. Needs no torch."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PARTIAL = ".partial-"


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under another name, and gives it its own when it is on the disk.

    Whatever happens meanwhile (a kill, a full disk), `path` holds the old content or the new.

    Args:
        path: Its place; folders are made.
        write: Given the path to write to; it ends like `path`, so that formats can be guessed.

    Raises:
        OSError: If it cannot be written; it names `path`.
    """
    partial = partial_of(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(partial)
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """Where this process writes a file before it is whole."""
    return path.with_name(f"{_PARTIAL}{os.getpid()}-{path.name}")


def remove_partial(folder: Path) -> None:
    """Removes what killed processes left in a folder that nobody else writes to."""
    for partial in folder.glob(f"{_PARTIAL}*"):
        partial.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Gives an error of the operating system, which knows no more than a number, the file's name."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
