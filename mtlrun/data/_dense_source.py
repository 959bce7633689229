"""A dataset of pictures with maps, of which a file of this folder says only what its files are."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtlrun.core.data import DataError, DataSource, Finding, InputSpec, SplitName
from mtlrun.core.task import Task
from mtlrun.data._arguments import chosen_tasks
from mtlrun.data._dense_check import check_examples
from mtlrun.data._dense_split import DenseSplit
from mtlrun.data._raycast import Array
from mtlrun.data._spread import spread

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
LABELS = "segmentation"  # the map that holds labels
SAMPLED = 8  # examples whose content tells one copy from another
IGNORED = 255  # the label that counts nowhere


class DenseSource(DataSource):
    """Pictures with a map for every task, read when they are asked for.

    A dataset overrides `examples` and `read`, and `path` where a map has a file of its own; batches,
    augmentation, the check and the name in the store come from here.

    Args:
        name: Of the dataset.
        own: All of its tasks.
        root: The folder; None for data/NAME.
        tasks: The names of those to keep, in the order of tables; None for all.
        size: H and W where the first training picture cannot be read.
        augment: Whether training pictures are enlarged by 1, 1.2 or 1.5 (depth divided by it) and
            mirrored (normals too), half of them, in every epoch.

    Raises:
        ValueError: If a task is unknown.
    """

    def __init__(
        self,
        name: str,
        own: Sequence[Task],
        *,
        root: str | None,
        tasks: Sequence[str] | None,
        size: tuple[int, int],
        augment: bool,
    ) -> None:
        self.tasks = chosen_tasks({task.name: task for task in own}, tasks)
        self.name, self.root, self.augment = name, folder_of(root, name), augment
        try:
            self.size = self.first_size()
        except DataError:
            self.size = size
        self.inputs = InputSpec("image", (3, *self.size))

    def examples(self, split: SplitName) -> Sequence[str]:
        """The names of a split's examples, in order.

        Raises:
            DataError: If files are missing.
        """
        raise NotImplementedError

    def read(self, example: str) -> Mapping[str, Array]:
        """The picture `image` and a map for every task of an example.

        Returns:
            The picture is [H, W, 3], uint8 or in 0..1; `segmentation` holds labels [H, W], 255 where
            they count nowhere; other maps are [H, W, C].

        Raises:
            DataError: If a file is missing or damaged.
        """
        raise NotImplementedError

    def path(self, example: str, name: str) -> Path:
        """The file that an example's `image` or map is in, for messages: the folder if it is not told."""
        return self.root

    def split(self, name: SplitName) -> DenseSplit:
        """The examples of a split; each is read when it is asked for.

        Raises:
            DataError: If files are missing.
        """
        augment = self.augment and name == "train"
        return DenseSplit(self.fill, self.examples(name), shapes=self.shapes(), augment=augment)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the picture and of every task's map."""
        channels = {task.name: (task.output.channels,) for task in self.tasks}
        own = {"image": (3,)} | channels | ({LABELS: ()} if LABELS in channels else {})
        return {name: (*self.size, *rest) for name, rest in own.items()}

    def fill(self, example: str, maps: Mapping[str, Array]) -> None:
        """Writes what was read of an example into a batch.

        Args:
            example: Its name.
            maps: float32 [H, W, C] by name, labels int64 [H, W].

        Raises:
            DataError: If a file is missing or holds what it should not.
        """
        found = self.read(example)
        for name, out in maps.items():
            values = found[name]
            if values.shape != out.shape:
                wanted, own = (" x ".join(map(str, array.shape)) for array in (out, values))
                raise self._wrong(example, name, f"{wanted} numbers", own)
            if name == LABELS:
                classes = next(task.output.channels for task in self.tasks if task.name == LABELS)
                if ((values < 0) | (values >= classes) & (values != IGNORED)).any():
                    wanted, own = f"labels 0..{classes - 1}", f"{values.min()}..{values.max()}"
                    raise self._wrong(example, name, wanted, own)
            if name == "image" and values.dtype == np.uint8:
                np.divide(values, 255, out=out, dtype=np.float32)
            else:
                out[...] = values

    def check(self) -> Iterator[Finding]:
        """Counts, and every example read."""
        for split in SPLITS:
            yield from check_examples(split, self)

    def identity(self) -> dict[str, Any]:
        """The files stand for the folder; which tasks there are is the training's to tell.

        Raises:
            DataError: If files are missing.
        """
        own = super().identity()
        for name in ("root", "tasks"):
            del own[name]
        return own | {"sha256": self.digest()}

    def digest(self) -> str:
        """A hash of all examples' names, all files' lengths, and 8 examples of every split.

        Raises:
            DataError: If files are missing.
        """
        told = hashlib.sha256()
        for split in SPLITS:
            examples = self.examples(split)
            told.update(f"{split} {' '.join(examples)}\n".encode())
            for example in spread(examples, SAMPLED):
                for _, values in sorted(self.read(example).items()):
                    told.update(values.tobytes())
        for path in sorted(self.root.rglob("[!.]*")):
            if path.is_file():
                told.update(f"{path.relative_to(self.root)} {path.stat().st_size}\n".encode())
        return told.hexdigest()

    def first_size(self) -> tuple[int, int]:
        """H and W of the first training picture.

        Raises:
            DataError: If it cannot be read.
        """
        height, width, *_ = self.read(self.examples("train")[0])["image"].shape
        return height, width

    def find(self, pattern: str) -> list[str]:
        """The files that fit a pattern, as paths within the folder, in order.

        Raises:
            DataError: If there is none.
        """
        found = sorted(str(path.relative_to(self.root)) for path in self.root.glob(pattern))
        if not found:
            raise self.missing(pattern)
        return found

    def missing(self, what: str) -> DataError:
        """The error about files that are not there."""
        return DataError(
            f"`{self.name}` should hold `{what}`. Found no such file in `{self.root}`. Set data.root, or "
            f"$MTLRUN_DATA to the folder that holds it as `{self.name}`. Nothing is downloaded. For a "
            f"small copy to try things with: mtlrun data {self.name} --miniature DIR."
        )

    def _wrong(self, example: str, name: str, wanted: str, found: str) -> DataError:
        return DataError(
            f"`{self.path(example, name)}` should hold {wanted} (`{name}` of `{example}`). Found {found}. "
            f"Get the file anew."
        )


def folder_of(root: str | None, name: str) -> Path:
    """The folder asked for, or data/NAME."""
    return Path(root) if root is not None else Path("data") / name
