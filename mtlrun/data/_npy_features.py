"""Features of domains in npy files: DOMAIN/CLASS/STEM.npy, each [D]."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mtlrun.core.batch import TaskName
from mtlrun.core.data import DataError
from mtlrun.data._domain_layout import Opened, same_width, subfolders
from mtlrun.data._raycast import Array


class NpyDomain:
    """The examples of one folder, read when they are asked for.

    Args:
        folder: Of the domain.
        paths: [N] files.
        labels: [N], 0 to C-1.
        width: D.
    """

    def __init__(self, folder: Path, paths: Sequence[Path], labels: Array, width: int) -> None:
        self.where, self.paths, self.labels, self.width = folder, paths, labels, width
        self.names = [name_of(path) for path in paths]

    def read(self, rows: Array, *, augmented: bool) -> Array:
        """Features [n, D] float32; the same in training and evaluation."""
        found = np.empty((len(rows), self.width), np.float32)
        for own, row in zip(found, rows.tolist(), strict=True):
            values = _read(self.paths[row])
            if values.shape != own.shape:
                raise DataError(
                    f"`{self.paths[row]}` should hold {self.width} numbers, as other files of `"
                    f"{self.where}` do. Found {values.dtype} {list(values.shape)}. Get it anew."
                )
            own[:] = values
        return found


def open_npys(folders: Mapping[TaskName, Path]) -> Opened:
    """The domains of folders of npy files.

    Args:
        folders: By task.

    Raises:
        DataError: If a first file is not [D], or domains differ in D.
    """
    files = {task: files_by_class(folder, (".npy",)) for task, folder in folders.items()}
    classes, labels = numbered(files)
    widths = {}
    for task, own in files.items():
        first = own[0]
        values = _read(first)
        if values.ndim != 1:
            raise DataError(
                f"`{first}` should hold one row of numbers [D]. Found {list(values.shape)}. Write one "
                f"file an example."
            )
        widths[task] = len(values)
    folder = next(iter(folders.values())).parent
    width = same_width(widths, folder)
    domains = {
        task: NpyDomain(folders[task], own, labels[task], width) for task, own in files.items()
    }
    return Opened(domains, classes, width, "npy files", folder)


def files_by_class(folder: Path, endings: Sequence[str]) -> list[Path]:
    """The files CLASS/NAME of a domain's folder, in order.

    Raises:
        DataError: If there is none.
    """
    found = [
        path
        for own in subfolders(folder)
        for path in sorted(own.iterdir())
        if path.suffix.lower() in endings and not path.name.startswith(".")
    ]
    if not found:
        raise DataError(
            f"`{folder}` should hold a folder for every class, with files {', '.join(endings)}. "
            f"Found none. Complete the copy."
        )
    return found


def numbered(
    files: Mapping[TaskName, Sequence[Path]],
) -> tuple[tuple[str, ...], dict[TaskName, Array]]:
    """The classes of all domains in alphabetical order, and each file's [N]."""
    classes = sorted({path.parent.name for own in files.values() for path in own})
    number = {name: k for k, name in enumerate(classes)}
    labels = {
        task: np.array([number[path.parent.name] for path in own], np.int64)
        for task, own in files.items()
    }
    return tuple(classes), labels


def name_of(path: Path) -> str:
    """CLASS/STEM of a file, the stem cut at its first dot."""
    return f"{path.parent.name}/{path.name.split('.')[0]}"


def _read(path: Path) -> Array:
    try:
        found: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"`{path}` should be a whole npy file of numbers. Found: {error}. Get the file anew."
        ) from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        raise DataError(f"`{path}` should be an npy file of numbers. Get the file anew.")
    return found
