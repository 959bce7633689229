"""Pictures named in lists, each map of them a file: what NYUDv2 and PASCAL-Context have in common."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from mtlrun.core.data import DataError
from mtlrun.data._picture_file import read_numbers, read_size
from mtlrun.data._raycast import Array

Part = Literal["train", "val"]
PARTS: tuple[Part, ...] = ("train", "val")
IGNORED = 255
MEASURED, MULTIPLE = 64, 32


class ListedFiles(ABC):
    """Where the files of a dataset are, and what its maps hold.

    Attributes:
        name: Of the dataset.
        layout: Of its folders, for messages.
        where_from: Where users of the papers get it.
        published: Pictures in the lists of a complete copy.

    Args:
        root: The folder.
    """

    name: ClassVar[str]
    layout: ClassVar[str]
    where_from: ClassVar[str]
    published: ClassVar[Mapping[Part, int]]

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sizes: dict[Path, dict[str, int]] = {}

    @abstractmethod
    def list_path(self, part: Part) -> Path:
        """Of the list of a part's pictures, a name a line."""

    @abstractmethod
    def paths(self, what: str, picture: str) -> tuple[Path, ...]:
        """Of the files that `image` or a task's target is made from."""

    @abstractmethod
    def target(self, task: str, picture: str) -> Array:
        """The target as [H, W] uint8 labels, 255 where unlabelled, or [C, H, W] float32.

        Invalid pixels are 0 in depth and normals, and not a number in other maps.

        Raises:
            DataError: If a file is missing, damaged or holds what it should not.
        """

    def pictures(self, part: Part, tasks: Sequence[str]) -> tuple[str, ...]:
        """The names of a part's pictures, in the order of its list.

        Args:
            part: Which list.
            tasks: Whose files should be there.

        Raises:
            DataError: If the list, a folder or a file is missing, or a picture is listed twice.
        """
        names = {own: self._read_list(own) for own in PARTS}
        for own in PARTS:
            seen: set[str] = set()
            for name in names[own]:
                if name in seen or (own == "val" and name in names["train"]):
                    raise DataError(
                        f"A picture should be in one of `{self.list_path('train')}` and "
                        f"`{self.list_path('val')}`, once. Found `{name}` again in "
                        f"`{self.list_path(own)}`. Take it out of one."
                    )
                seen.add(name)
        for what in ("image", *tasks):
            self._require(part, what, tuple(names[part]))
        return tuple(names[part])

    def size(self, default: tuple[int, int]) -> tuple[int, int]:
        """The multiples of 32 that hold the first 64 pictures of each list; the default where they cannot be read."""
        try:
            names = [name for part in PARTS for name in self.pictures(part, ())[:MEASURED]]
            found = [read_size(self.paths("image", name)[0]) for name in names]
        except DataError:
            return default
        return size_that_holds(found)

    def holds(self, path: Path) -> bool:
        """Whether the file is there; folders are listed once."""
        return path.name in self._listed(path.parent)

    def digest(self, tasks: Sequence[str]) -> str:
        """A hash of the lists and of the lengths of all files that are read.

        Raises:
            DataError: If files are missing.
        """
        told = hashlib.sha256()
        for part in PARTS:
            for picture in self.pictures(part, tasks):
                for what in ("image", *tasks):
                    for path in self.paths(what, picture):
                        size = self._listed(path.parent)[path.name]
                        told.update(f"{part} {path.relative_to(self.root)} {size}\n".encode())
        return told.hexdigest()

    def _require(self, part: Part, what: str, names: Sequence[str]) -> None:
        wanted = [path for name in names for path in self.paths(what, name)]
        missing = [path for path in wanted if not self.holds(path)]
        if not missing:
            return
        folder = missing[0].parent
        found = (
            f"{len(missing)} missing, `{missing[0].name}` first"
            if folder.is_dir()
            else "no such folder"
        )
        raise DataError(
            f"`{folder}` should hold a file for each of the {len(names)} pictures of "
            f"`{self.list_path(part)}` (of `{what}`). Found {found}. Complete the copy, or take the task "
            f"out (data.tasks). {self.where_from}"
        )

    def _read_list(self, part: Part) -> list[str]:
        path = self.list_path(part)
        try:
            names = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
        except FileNotFoundError as error:
            raise DataError(
                f"`{self.name}` should hold {self.layout}. Found no `{path}`. Set data.root, or "
                f"$MTLRUN_DATA to the folder that holds it as `{self.name}`. {self.where_from} For a "
                f"small copy to try things with: mtlrun data {self.name} --miniature DIR."
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"`{path}` should be a readable text file in UTF-8. Found: {error}. Check the file."
            ) from error
        names = [name for name in names if name]
        if not names:
            raise DataError(
                f"`{path}` should name pictures, one a line. Found none. Get the file anew. "
                f"{self.where_from}"
            )
        return names

    def _listed(self, folder: Path) -> dict[str, int]:
        """The lengths of a folder's files by name."""
        if folder not in self._sizes:
            self._sizes[folder] = {}
            if folder.is_dir():
                with os.scandir(folder) as entries:
                    self._sizes[folder] = {own.name: own.stat().st_size for own in entries}
        return self._sizes[folder]


def read_target(files: ListedFiles, task: str, picture: str, size: tuple[int, ...] | None) -> Array:
    """A target of its picture's size, where that is known.

    Raises:
        DataError: If it is of another, or a file is missing, damaged or holds what it should not.
    """
    values = files.target(task, picture)
    if size is not None and values.shape[-2:] != size:
        raise DataError(
            f"`{files.paths(task, picture)[0]}` should be of the size of its picture, "
            f"{size[0]}x{size[1]}. Found {values.shape[-2]}x{values.shape[-1]}. Get the file anew."
        )
    return values


def size_that_holds(sizes: Iterable[tuple[int, ...]]) -> tuple[int, int]:
    """The multiples of 32 that are not below any height and width."""
    height, width = (-(-max(own) // MULTIPLE) * MULTIPLE for own in zip(*sizes, strict=True))
    return height, width


def too_large(path: Path, found: tuple[int, ...], size: tuple[int, int]) -> str:
    """What is wrong with a picture that is not cropped and does not fit into the size of inputs."""
    return (
        f"`{path}` should be no larger than {size[0]}x{size[1]} pixels, to which pictures are padded. "
        f"Found {found[0]}x{found[1]}. Set data.size=[HEIGHT,WIDTH], multiples of 32, to hold all."
    )


def read_bytes(path: Path, *, channels: int) -> Array:
    """The numbers of a picture file of 8 bits, [C, H, W] int32.

    Args:
        path: Of the file.
        channels: C.

    Raises:
        DataError: If it is missing, damaged, of other channels or of larger numbers.
    """
    numbers = read_numbers(path)
    if len(numbers) != channels or numbers.max() > 255:
        raise DataError(
            f"`{path}` should have {channels} channel(s) of 0..255. Found {len(numbers)} of "
            f"{int(numbers.min())}..{int(numbers.max())}. Get the file anew."
        )
    return numbers


def read_labels(path: Path, *, largest: int, unlabelled: int) -> Array:
    """The labels of a picture file, [H, W] int32.

    Args:
        path: Of the file.
        largest: Labels are 0 to this.
        unlabelled: A further number that is allowed.

    Raises:
        DataError: If it is missing, damaged or holds other labels.
    """
    labels: Array = read_bytes(path, channels=1)[0]
    wrong = labels[(labels > largest) & (labels != unlabelled)]
    if wrong.size:
        rest = f" or {unlabelled}" if unlabelled > largest else ""
        raise DataError(
            f"`{path}` should hold labels 0..{largest}{rest}. Found {int(wrong.max())}. Get the file anew."
        )
    return labels


def directions_of(numbers: Array) -> Array:
    """Normals [3, H, W] float32 of bytes, 2 x / 255 - 1; (0, 0, 0) where bytes are grey: no direction."""
    grey = ((numbers == 127) | (numbers == 128)).all(axis=0)
    directions: Array = np.where(grey, 0, numbers * np.float32(2 / 255) - 1).astype(np.float32)
    return directions
