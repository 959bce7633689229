"""What a dataset is: splits of examples, and the tasks they have targets for."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from mtlrun.core.batch import Batch, TaskName
from mtlrun.core.identity import Identified
from mtlrun.core.task import Task

SplitName = Literal["train", "val", "test"]
InputKind = Literal["image", "vector", "series", "route"]


@dataclass(frozen=True)
class InputSpec:
    """What a backbone reads.

    Attributes:
        kind: `image` [C, H, W], `vector` [D], `series` [L, C].
        shape: Of one example.
        details: Further sizes by name. For `series`: `seq_len`, `label_len`, `pred_len`,
            `num_series`, `num_marks`; the example is [seq_len + pred_len, num_series + num_marks],
            its first `seq_len` rows the observed series beside their time marks, its other rows
            zeros beside the marks of the horizon.
    """

    kind: InputKind
    shape: tuple[int, ...]
    details: Mapping[str, int] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """The plain values that stand for it in a training's name."""
        return {"kind": self.kind, "shape": list(self.shape), "details": dict(self.details)}


class Split(Protocol):
    """The examples of one split."""

    def __len__(self) -> int: ...

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        """Some examples as a batch, on CPU.

        Args:
            indices: Which, in order.
            seed: Of augmentation draws: an example's are made from `seed_for(seed, str(index))`,
                so that they depend on nothing but the epoch and the example.
        """
        ...


class DataError(Exception):
    """Data that is missing or corrupt: the message names the file, what was expected and the way out."""


@dataclass(frozen=True)
class Finding:
    """A line about a dataset's files: a fact, or what is wrong and what to do."""

    is_error: bool
    text: str


class DataSource(Identified):
    """A dataset.

    Attributes:
        tasks: In the order of tables and matrices.
        inputs: What a backbone reads.
    """

    tasks: tuple[Task, ...]
    inputs: InputSpec

    @property
    def trained_on_val(self) -> str | None:
        """The setting that holds the split `val` out, where it is part of what is trained on; else None."""
        return None

    @property
    def test_is_val(self) -> str | None:
        """The setting that takes the test examples for the split `val`, where it does; else None."""
        return None

    @abstractmethod
    def split(self, name: SplitName) -> Split:
        """The examples of a split, opened on first use.

        Raises:
            DataError: If files are missing or corrupt.
        """


@runtime_checkable
class ClassAligned(Protocol):
    """A dataset of classification tasks with inputs of their own, and with classes in common.

    A batch of its training split that is a whole pass over it holds the same number of examples of
    every class for every task.

    Attributes:
        classes: C names, in the order of the targets.
    """

    classes: tuple[str, ...]

    def labelled(self, task: TaskName) -> tuple[Tensor, Tensor]:
        """All training examples of a task: inputs [N, D] and classes [N] in 0..C-1, each class at least once."""
        ...
