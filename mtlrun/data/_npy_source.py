"""A dataset of npy files: what NYUv2 and CityScapes have in common."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mtlrun.core.data import Finding, SplitName
from mtlrun.core.task import Task
from mtlrun.data._arguments import check_share
from mtlrun.data._dense_files import FOLDERS, DenseFiles, rows_of
from mtlrun.data._dense_source import DenseSource
from mtlrun.data._raycast import Array


class NpySource(DenseSource):
    """A dataset in the preprocessed layout.

    Args:
        files: Its folders.
        own: All of its tasks.
        tasks: The names of those to keep; None for all.
        size: H and W where no file tells.
        val_share: Of the training folder that is held out; 0 for none.
        augment: Whether training pictures are enlarged and mirrored.
        seed: Of which are held out.

    Raises:
        ValueError: If a task is unknown or the share is not below 1.
    """

    def __init__(
        self,
        files: DenseFiles,
        own: Sequence[Task],
        *,
        tasks: Sequence[str] | None,
        size: tuple[int, int],
        val_share: float,
        augment: bool,
        seed: int,
    ) -> None:
        check_share(val_share)
        self.files, self.val_share, self.seed = files, val_share, seed
        super().__init__(
            files.name, own, root=str(files.root), tasks=tasks, size=size, augment=augment
        )

    @property
    def trained_on_val(self) -> str | None:
        """A share of 0 holds nothing out."""
        return "data.val_share=0.1" if self.val_share == 0 else None

    def examples(self, split: SplitName) -> list[str]:
        """The files of a split, as PART/NUMBER.

        Raises:
            DataError: If folders or files are missing.
        """
        counts = {part: self.files.count(part, self._folders) for part in ("train", "val")}
        part = "val" if split == "test" else "train"
        return [f"{part}/{row}" for row in rows_of(split, counts, self.val_share, self.seed)]

    def fill(self, example: str, maps: Mapping[str, Array]) -> None:
        """Reads the files of an example straight into a batch.

        Raises:
            DataError: If a file is missing or holds what it should not.
        """
        part, index = example.split("/")
        self.files.fill(part, int(index), maps)

    def path(self, example: str, name: str) -> Path:
        """The file of a picture or a map."""
        part, index = example.split("/")
        return self.files.path(part, FOLDERS.get(name, name), int(index))

    def check(self) -> Iterator[Finding]:
        """Counts, and every file read."""
        yield from self.files.check(self._folders, self.size)

    def digest(self) -> str:
        """A hash of all files' lengths, and of 8 files of every folder."""
        return self.files.digest(self._folders)

    def first_size(self) -> tuple[int, int]:
        """H and W of the first training picture."""
        height, width, _ = self.files.read("train", "image", 0, None).shape
        return height, width

    @property
    def _folders(self) -> tuple[str, ...]:
        return ("image", *(FOLDERS[task.name] for task in self.tasks))
