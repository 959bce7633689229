"""A dataset of listed pictures: its splits, and how an example is read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mtlrun.core.batch import Batch
from mtlrun.core.data import DataError, DataSource, Finding, InputSpec, SplitName
from mtlrun.core.seeding import seed_for
from mtlrun.core.task import Task
from mtlrun.data import _listed_check
from mtlrun.data._arguments import check_share, chosen_tasks
from mtlrun.data._dense_files import rows_of
from mtlrun.data._joint_augment import augmented, finished
from mtlrun.data._listed_files import ListedFiles, Part, read_target, too_large
from mtlrun.data._picture_file import read_rgb
from mtlrun.data._raycast import Array


class ListedSource(DataSource):
    """A dataset whose list `val` is the split `test`, and whose split `val` is a part of the list `train`.

    Args:
        files: Where they are.
        own: All of its tasks by name.
        tasks: The names of those to keep; None for all.
        size: H and W of inputs and targets.
        val_share: Of the list `train` that is held out; 0 for none.
        augment: Whether training pictures are scaled, cropped, mirrored and distorted.
        seed: Of which are held out.

    Raises:
        ValueError: If a task is unknown, the share is not below 1, or the size is not two numbers.
    """

    def __init__(
        self,
        files: ListedFiles,
        own: Mapping[str, Task],
        *,
        tasks: Sequence[str] | None,
        size: Sequence[int],
        val_share: float,
        augment: bool,
        seed: int,
    ) -> None:
        self.tasks = chosen_tasks(own, tasks)
        check_share(val_share)
        if len(size) != 2 or min(size) < 1:
            raise ValueError(
                f"`size` should be a height and a width in pixels. Found `size = {list(size)}`. Set "
                f"data.size=[HEIGHT,WIDTH]."
            )
        self.files, self.val_share, self.augment, self.seed = files, val_share, augment, seed
        self.size = (size[0], size[1])
        self.inputs = InputSpec("image", (3, *self.size))

    @property
    def trained_on_val(self) -> str | None:
        """A share of 0 holds nothing out."""
        return "data.val_share=0.1" if self.val_share == 0 else None

    def identity(self) -> dict[str, Any]:
        """The files stand for the folder; which tasks there are is the training's to tell.

        Raises:
            DataError: If files are missing.
        """
        own = super().identity()
        for name in ("root", "tasks"):
            del own[name]
        return own | {
            "size": list(self.size),
            "sha256": self.files.digest(self._read_for(self.augment)),
        }

    def split(self, name: SplitName) -> "ListedSplit":
        """The pictures of a split; each is decoded when it is asked for.

        Raises:
            DataError: If a list, a folder or a file is missing.
        """
        part: Part = "val" if name == "test" else "train"
        augment = self.augment and name == "train"
        pictures = self.files.pictures(part, self._read_for(augment))
        rows = rows_of(name, {part: len(pictures)}, self.val_share, self.seed)
        return ListedSplit(
            self.files,
            [pictures[row] for row in rows],
            tasks=self._names,
            size=self.size,
            augment=augment,
        )

    def check(self) -> Iterator[Finding]:
        """What is wrong with lists and files; every file is decoded."""
        return _listed_check.findings(
            self.files, self._read_for(self.augment), size=self.size, padded=self._padded
        )

    def _padded(self, part: Part, pictures: Sequence[str]) -> list[str]:
        """The pictures of a list that are padded to the size: all that are not augmented."""
        if part == "train" and self.augment:
            rows = rows_of("val", {part: len(pictures)}, self.val_share, self.seed)
            return [pictures[row] for row in rows]
        return list(pictures)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(task.name for task in self.tasks)

    def _read_for(self, augment: bool) -> tuple[str, ...]:
        return read_for(self._names, augment=augment)


class ListedSplit:
    """The pictures of one split.

    Args:
        files: Where they are.
        pictures: Their names.
        tasks: Names of those with targets.
        size: H and W.
        augment: Whether they are scaled, cropped, mirrored and distorted.
    """

    def __init__(
        self,
        files: ListedFiles,
        pictures: Sequence[str],
        *,
        tasks: Sequence[str],
        size: tuple[int, int],
        augment: bool,
    ) -> None:
        self.files, self.pictures, self.tasks = files, tuple(pictures), tuple(tasks)
        self.size, self.augment = size, augment

    def __len__(self) -> int:
        return len(self.pictures)

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        """Normalised pictures [B, 3, H, W] and targets.

        Args:
            indices: Which, 0 to the split's length less 1.
            seed: Of the augmentation.

        Raises:
            DataError: If a file is missing or damaged, holds what it should not, or a picture that is not
                cropped is larger than the size.
        """
        examples = []
        for index in indices:
            example = self._read(self.pictures[index])
            if self.augment:
                example = augmented(example, self.size, seed_for(seed, str(index)))
            examples.append(finished(example, self.size))
        stacked = {
            name: torch.from_numpy(np.stack([example[name] for example in examples]))
            for name in ("image", *self.tasks)
        }
        return Batch(stacked.pop("image"), stacked)

    def _read(self, picture: str) -> dict[str, Array]:
        (path,) = self.files.paths("image", picture)
        example = {"image": read_rgb(path)}
        found = example["image"].shape[1:]
        if not self.augment and (found[0] > self.size[0] or found[1] > self.size[1]):
            raise DataError(too_large(path, found, self.size))
        for task in read_for(self.tasks, augment=self.augment):
            example[task] = read_target(self.files, task, picture, found)
        return example


def read_for(tasks: Sequence[str], *, augment: bool) -> tuple[str, ...]:
    """The tasks whose files are read: what a crop may be depends on `segmentation`, a task or not."""
    return tuple(dict.fromkeys((*tasks, *(("segmentation",) if augment else ()))))
