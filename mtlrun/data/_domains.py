"""Datasets whose tasks are the same classes in several domains."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from mtlrun.core.batch import TaskName
from mtlrun.core.data import DataSource, InputSpec, SplitName
from mtlrun.data._domain_splits import AlignedSplit, Labelled, UnevenSplit
from mtlrun.tasks.classification import classification

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class Domains(DataSource):
    """One task a domain: to tell the classes, which all domains have, from vectors.

    A pass over the training split is one batch, with `per_class` examples of every class for every
    task; the other splits have all examples of every task, which may be fewer of one than of another.
    A dataset overrides `examples`.

    Args:
        domains: Names of the tasks.
        classes: C names.
        width: D of the inputs.
        per_class: Examples of every class and task in a batch.

    Raises:
        ValueError: If `per_class` is below 1.
    """

    classes: tuple[str, ...]

    def __init__(
        self, domains: Sequence[str], classes: Sequence[str], *, width: int, per_class: int
    ) -> None:
        if per_class < 1:
            raise ValueError(
                f"`per_class` should be at least 1. Found `per_class = {per_class}`. "
                f"Set data.per_class."
            )
        self.classes, self.per_class = tuple(classes), per_class
        self.tasks = tuple(
            classification(domain, num_classes=len(self.classes)) for domain in domains
        )
        self.inputs = InputSpec("vector", (width,))
        self._splits: dict[SplitName, AlignedSplit | UnevenSplit] = {}

    def examples(self, split: SplitName) -> Mapping[TaskName, Labelled]:
        """All examples of a split by task: inputs [N, D] and classes [N].

        Raises:
            DataError: If files are missing or corrupt.
        """
        raise NotImplementedError

    def split(self, name: SplitName) -> AlignedSplit | UnevenSplit:
        """The examples of a split.

        Raises:
            DataError: If files are missing or corrupt.
        """
        if name not in self._splits:
            examples = self.examples(name)
            self._splits[name] = (
                AlignedSplit(examples, num_classes=len(self.classes), per_class=self.per_class)
                if name == "train"
                else UnevenSplit(examples)
            )
        return self._splits[name]

    def labelled(self, task: TaskName) -> tuple[Tensor, Tensor]:
        """All training examples of a task: inputs [N, D] and classes [N] in 0..C-1, each class at least once."""
        return self.split("train").examples[task]

    def identity(self) -> dict[str, Any]:
        """The examples themselves stand for files and draws.

        Raises:
            DataError: If files are missing or corrupt.
        """
        own = {"kind": super().identity()["kind"], "per_class": self.per_class}
        return own | {"sha256": self._digest}

    @cached_property
    def _digest(self) -> str:
        """Of all examples, which do not change; every training is named by it."""
        told = hashlib.sha256()
        for name in SPLITS:
            for task, tensors in self.split(name).examples.items():
                told.update(f"{name} {task} {[list(own.shape) for own in tensors]}\n".encode())
                for tensor in tensors:
                    told.update(tensor.numpy().data)
        return told.hexdigest()
