"""A dataset of npy files: what NYUv2 and CityScapes have in common."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtlrun.core.data import DataSource, Finding, InputSpec, SplitName
from mtlrun.core.task import Task
from mtlrun.data._dense_files import FOLDERS, DenseFiles, DenseSplit, rows_of


class DenseSource(DataSource):
    """A dataset in the preprocessed layout.

    Args:
        files: Its folders.
        own: All of its tasks by name.
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
        own: Mapping[str, Task],
        *,
        tasks: Sequence[str] | None,
        size: tuple[int, int],
        val_share: float,
        augment: bool,
        seed: int,
    ) -> None:
        names = tuple(own if tasks is None else tasks)
        if not names or len(set(names)) < len(names) or not set(names) <= set(own):
            raise ValueError(
                f"`tasks` should name one or more of {', '.join(own)}, each once. Found "
                f"`tasks = {list(names)}`. Set data.tasks."
            )
        if not 0 <= val_share < 1:
            raise ValueError(
                f"`val_share` should be 0 or more and below 1. Found `val_share = {val_share}`. Set "
                f"data.val_share."
            )
        self.files, self.val_share, self.augment, self.seed = files, val_share, augment, seed
        self.tasks = tuple(own[name] for name in names)
        self.size = files.size(size)
        self.inputs = InputSpec("image", (3, *self.size))

    def identity(self) -> dict[str, Any]:
        """The files stand for the folder; which tasks there are is the training's to tell.

        Raises:
            DataError: If files are missing.
        """
        own = super().identity()
        for name in ("root", "tasks"):
            del own[name]
        return own | {"sha256": self.files.digest(self._folders)}

    def split(self, name: SplitName) -> DenseSplit:
        """The examples of a split; each is read when it is asked for.

        Raises:
            DataError: If folders or files are missing.
        """
        counts = {part: self.files.count(part, self._folders) for part in ("train", "val")}
        return DenseSplit(
            self.files,
            "val" if name == "test" else "train",
            rows_of(name, counts, self.val_share, self.seed),
            tasks=[task.name for task in self.tasks],
            size=self.size,
            augment=self.augment and name == "train",
        )

    def check(self) -> Iterator[Finding]:
        """Counts, and every file read."""
        yield from self.files.check(self._folders, self.size)

    @property
    def _folders(self) -> tuple[str, ...]:
        return ("image", *(FOLDERS[task.name] for task in self.tasks))


def folder_of(root: str | None, name: str) -> Path:
    """The folder asked for, or data/NAME."""
    return Path(root) if root is not None else Path("data") / name
