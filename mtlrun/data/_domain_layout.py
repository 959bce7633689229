"""How files of the same classes in several domains lie, and what opening them gives."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from mtlrun.core.batch import TaskName
from mtlrun.core.data import DataError
from mtlrun.data._raycast import Array

SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Layout:
    """What a dataset is called, and its parts.

    Attributes:
        name: On the command line.
        domains: For each task the names that its folder or file may have, in small letters, with
            `_` for all else than letters and digits.
        num_classes: C when complete.
        classes: C names, for files that have numbers only; may be empty.
        counts: Examples of each domain when complete; may be empty.
        pictures: The layout of pictures, in words.
        where_from: Where its papers' users get it.
    """

    name: str
    domains: Mapping[TaskName, tuple[str, ...]]
    num_classes: int
    classes: tuple[str, ...]
    counts: Mapping[TaskName, int]
    pictures: str
    where_from: str

    def found(self, paths: Iterable[Path]) -> dict[TaskName, Path]:
        """The files or folders of domains among others, by task.

        Raises:
            DataError: If there are two of one domain.
        """
        found: dict[TaskName, Path] = {}
        words = {path: _plain(path.stem if path.is_file() else path.name) for path in sorted(paths)}
        for task, names in self.domains.items():
            exact = [path for path, word in words.items() if word in names]
            begun = [path for path, word in words.items() if word.startswith(_begins(names))]
            own = exact or [path for path in begun if path.is_file()]
            if len(own) > 1:
                raise DataError(
                    f"`{own[0].parent}` should have {task} of `{self.name}` once. Found "
                    f"{', '.join(f'`{path.name}`' for path in own)}. Leave one there."
                )
            if own:
                found[task] = own[0]
        return found

    def names(self, number: int) -> tuple[str, ...]:
        """Of so many classes that files have numbers of."""
        if len(self.classes) == number:
            return self.classes
        return tuple(f"class_{k}" for k in range(number))

    def missing(self, folder: Path, what: str) -> DataError:
        """The error about files that are not there."""
        return DataError(
            f"`{self.name}` needs {what}, of {', '.join(self.domains)}. Found none in `{folder}`. Set "
            f"data.features to a folder of features, data.root to one of pictures, or $MTLRUN_DATA to "
            f"the folder that holds it as `{self.name}`. {self.where_from} Nothing is downloaded. For "
            f"a small copy to try things with: mtlrun data {self.name} --miniature DIR."
        )


class Domain(Protocol):
    """The examples of one domain.

    Attributes:
        labels: [N] classes, 0 to C-1.
        where: The file or folder, for messages.
    """

    labels: Array
    where: Path

    @property
    def names(self) -> Sequence[str] | None:
        """[N] as CLASS/STEM; None where files have no names."""
        ...

    def read(self, rows: Array, *, augmented: bool) -> Array:
        """Features [n, D] of some examples, as training sees them or as evaluation does.

        Raises:
            DataError: If a file is missing or corrupt.
        """
        ...


@dataclass(frozen=True)
class Opened:
    """A copy of a dataset.

    Attributes:
        domains: By task.
        classes: C names.
        width: D of the features.
        told: What was found, in words.
        where: The folder, for messages.
    """

    domains: Mapping[TaskName, Domain]
    classes: tuple[str, ...]
    width: int
    told: str
    where: Path

    def check_classes(self) -> None:
        """Raises where a domain lacks a class.

        Raises:
            DataError: With the class and the domain.
        """
        for task, domain in self.domains.items():
            counts = np.bincount(domain.labels, minlength=len(self.classes))
            if missing := [self.classes[c] for c in np.flatnonzero(counts == 0)]:
                more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
                raise DataError(
                    f"Every domain should have each of the {len(self.classes)} classes. Found no "
                    f"example of {', '.join(missing[:SHOWN])}{more} in {task} (`{domain.where}`). "
                    f"Complete the copy, or leave the domain out of data.domains."
                )


def same_width(widths: Mapping[TaskName, int], where: Path) -> int:
    """The width of all domains' features.

    Raises:
        DataError: If they differ.
    """
    if len(set(widths.values())) > 1:
        told = ", ".join(f"{width} in {task}" for task, width in widths.items())
        raise DataError(
            f"Features in `{where}` should be equally wide in all domains. Found {told}. Take the "
            f"files of one descriptor, or set data.domains to domains that fit."
        )
    return next(iter(widths.values()))


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder; none if it is not there."""
    return sorted(path for path in folder.glob("*") if path.is_dir())


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _begins(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{name}_" for name in names)
