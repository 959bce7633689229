"""CelebA: pictures of faces with forty attributes."""

import hashlib
import mmap
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from mtlrun.core.batch import Batch
from mtlrun.core.data import DataError, DataSource, Finding, InputSpec, SplitName
from mtlrun.data import _celeba_check, _celeba_miniature
from mtlrun.data._arguments import near_misses
from mtlrun.data._celeba_lists import (
    ALL,
    ATTRIBUTES_FILE,
    FIRST_LINE,
    NINE,
    PICTURES,
    WHERE_FROM,
    Lists,
    read_lists,
)
from mtlrun.data._picture_file import read_rgb
from mtlrun.data._raycast import Array
from mtlrun.data._spread import spread
from mtlrun.tasks.attributes import attribute

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
MEASURED = 4096  # pictures whose lengths tell one copy from another


class CelebA(DataSource):
    """Faces, aligned and cropped; whether each has an attribute is a task of two classes.

    Source: Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015, arXiv:1411.7766; the nine
    attributes are those of PTG's and TAG's groupings (a1 to a9 in their tables).

    The folder holds `list_attr_celeba.txt`, `list_eval_partition.txt` and `img_align_celeba/*.jpg`,
    with 162,770 pictures for training, 19,867 for validation and 19,962 for the test when complete.
    Inputs are RGB [3, size, size] in 0..1: the whole picture, resized without a crop (bilinear,
    averaging over what a pixel covers) and not normalised further. Targets are int64 [B], 1 where
    the picture has the attribute. Nothing is augmented.

    Args:
        root: The folder; None for `data/celeba`.
        attributes: "nine", "all" (forty), or names in the order of tables.
        size: Height and width, pixels.
        cache: "memory" keeps pictures as bytes once they were decoded (2 GB of training pictures at
            64 pixels); worker processes share them where the system forks.

    Raises:
        ValueError: If an attribute is unknown or named twice.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        attributes: Literal["nine", "all"] | Sequence[str] = "nine",
        size: int = 64,
        cache: Literal["none", "memory"] = "none",
    ) -> None:
        if size < 1:
            raise ValueError(f"`size` should be at least 1. Found `size = {size}`. Set data.size.")
        if cache not in ("none", "memory"):
            raise ValueError(
                f"`cache` should be none or memory. Found `cache = {cache}`. Set data.cache."
            )
        self.root = Path(root) if root is not None else Path("data") / "celeba"
        self.size, self.cache = size, cache
        self.tasks = tuple(attribute(name) for name in _chosen(attributes))
        self.inputs = InputSpec("image", (3, size, size))
        self._splits: dict[SplitName, Faces] = {}

    def identity(self) -> dict[str, Any]:
        """The lists and lengths of pictures stand for the folder; which tasks there are is the training's to tell.

        Raises:
            DataError: If a list is missing or malformed.
        """
        own = super().identity()
        for name in ("root", "attributes", "cache"):
            del own[name]
        return own | {"sha256": self._digest}

    def split(self, name: SplitName) -> "Faces":
        """The pictures of a split; each is decoded when it is asked for.

        Raises:
            DataError: If a list is missing or malformed, an attribute is not in it, the split is
                empty, or a picture is missing.
        """
        if name not in self._splits:
            self._splits[name] = self._open(name)
        return self._splits[name]

    def check(self) -> Iterator[Finding]:
        """What is wrong with the lists and pictures; every picture is decoded."""
        return _celeba_check.findings(self.root)

    @classmethod
    def write_miniature(cls, folder: Path) -> None:
        """A copy of the layout with 40 pictures of rooms, whose attributes can be learned.

        Raises:
            ValueError: If the folder holds a copy already.
        """
        _celeba_miniature.write(folder)

    @cached_property
    def _lists(self) -> Lists:
        return read_lists(self.root)

    @cached_property
    def _digest(self) -> str:
        """A hash of the lists, and of the lengths of some thousand pictures; 0 for those that are missing."""
        paths = [self.root / PICTURES / name for name in spread(self._lists.names, MEASURED)]
        lengths = [path.stat().st_size if path.exists() else 0 for path in paths]
        return hashlib.sha256(f"{self._lists.digest} {lengths}".encode()).hexdigest()

    def _open(self, name: SplitName) -> "Faces":
        lists = self._lists
        names = [task.name for task in self.tasks]
        absent = [own for own in names if own not in lists.attributes]
        if absent:
            raise DataError(
                f"Line 2 of `{self.root / ATTRIBUTES_FILE}` should name the attributes that are tasks. "
                f"Found no {', '.join(f'`{own}`' for own in absent)}. Set data.attributes. {WHERE_FROM}"
            )
        rows = np.flatnonzero(lists.splits == SPLITS.index(name))
        if not rows.size:
            raise DataError(
                f"`{self.root}` should have pictures in split `{name}`. Found none in its lists. "
                f"{WHERE_FROM}"
            )
        self._require_pictures(rows)
        columns = [lists.attributes.index(own) for own in names]
        return Faces(
            self.root,
            names=[lists.names[row] for row in rows],
            lines=rows + FIRST_LINE,
            labels={
                own: lists.labels[rows, column] for own, column in zip(names, columns, strict=True)
            },
            size=self.size,
            keep=self.cache == "memory",
        )

    @cached_property
    def _present(self) -> frozenset[str]:
        folder = self.root / PICTURES
        return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()

    def _require_pictures(self, rows: Array) -> None:
        missing = [row for row in rows.tolist() if self._lists.names[row] not in self._present]
        if missing:
            first = missing[0]
            raise DataError(
                f"`{self.root / PICTURES}` should hold each picture of the lists. Found no "
                f"`{self._lists.names[first]}` (line {first + FIRST_LINE} of `{ATTRIBUTES_FILE}`); "
                f"{len(missing)} of {len(rows)} of this split are missing. `mtlrun data celeba --check` "
                f"says more. {WHERE_FROM}"
            )


class Faces:
    """The pictures of one split.

    Args:
        root: The dataset's folder.
        names: [N] of the pictures' files.
        lines: [N] of the attribute list, for messages.
        labels: [N] uint8 by attribute, 0 or 1.
        size: Height and width, pixels.
        keep: Whether decoded pictures are kept in memory.
    """

    def __init__(
        self,
        root: Path,
        *,
        names: Sequence[str],
        lines: Array,
        labels: dict[str, Array],
        size: int,
        keep: bool,
    ) -> None:
        self.root, self.names, self.lines = root, tuple(names), lines
        self.labels, self.size, self.keep = labels, size, keep
        self._kept = self._reserve()

    def __len__(self) -> int:
        return len(self.names)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._kept = self._reserve()

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        """Pictures [B, 3, H, W] and labels [B].

        Args:
            indices: Which, 0 to the split's length less 1.
            seed: Without effect: nothing is drawn.

        Raises:
            DataError: If a picture cannot be decoded.
        """
        rows = np.asarray(indices, dtype=np.int64)
        pictures = np.stack([self._picture(row) for row in rows.tolist()])
        targets = {name: torch.from_numpy(own[rows]).long() for name, own in self.labels.items()}
        return Batch(torch.from_numpy(pictures).float() / 255, targets)

    def _picture(self, row: int) -> Array:
        """[3, H, W] uint8."""
        if self._kept is None:
            return self._decode(row)
        pictures, done = self._kept
        if not done[row]:
            pictures[row] = self._decode(row)
            done[row] = 1  # after the picture: another process may look
        kept: Array = pictures[row]
        return kept

    def _decode(self, row: int) -> Array:
        return read_rgb(
            self.root / PICTURES / self.names[row],
            size=(self.size, self.size),
            where=f"line {self.lines[row]} of `{ATTRIBUTES_FILE}`",
        )

    def _reserve(self) -> tuple[Array, Array] | None:
        """Room for pictures [N, 3, H, W] and which of them are there; forked processes share it."""
        if not self.keep:
            return None
        shape = (len(self), 3, self.size, self.size)
        pictures = np.frombuffer(mmap.mmap(-1, int(np.prod(shape))), np.uint8).reshape(shape)
        return pictures, np.frombuffer(mmap.mmap(-1, len(self)), np.uint8)


def _chosen(attributes: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(attributes, str):
        if attributes not in ("nine", "all"):
            raise ValueError(
                f"`attributes` should be nine, all, or a list of names. Found "
                f"`attributes = {attributes}`. Set data.attributes=[{attributes}] for one attribute."
            )
        return NINE if attributes == "nine" else ALL
    for name in attributes:
        if name not in ALL:
            raise ValueError(
                f"`attributes` should be among CelebA's: {', '.join(ALL)}. Found `{name}`."
                f"{near_misses(name, ALL)} "
                f"Set data.attributes."
            )
    if not attributes or len(set(attributes)) < len(attributes):
        raise ValueError(
            f"`attributes` should name one or more attributes, each once. Found "
            f"`attributes = {list(attributes)}`. Set data.attributes."
        )
    return tuple(attributes)
