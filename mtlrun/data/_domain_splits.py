"""Splits of tasks with inputs of their own: one aligned by classes, one in order."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mtlrun.core.batch import Batch, TaskName
from mtlrun.core.seeding import seed_for
from mtlrun.data._raycast import Array

Labelled = tuple[Tensor, Tensor]  # inputs [N, D] and classes [N]


class AlignedSplit:
    """For every task the same number of examples of every class, drawn anew with every seed.

    Index i stands for class i // per_class and place i % per_class in that class's draw; it brings
    one example of each task. A draw takes every example once before it takes one again: the list of
    a class with fewer than `per_class` examples is doubled until it has as many, shuffled, and its
    first ones taken.

    Source: the sampling of VMTL's program, where a pass is one batch.

    Args:
        examples: By task; each has every class.
        num_classes: C.
        per_class: Of every class and task in a pass.
    """

    def __init__(
        self, examples: Mapping[TaskName, Labelled], *, num_classes: int, per_class: int
    ) -> None:
        self.examples, self.size = dict(examples), num_classes * per_class
        self.per_class = per_class
        lists = [
            _doubled(np.flatnonzero(classes.numpy() == c), per_class)
            for _, classes in self.examples.values()
            for c in range(num_classes)
        ]
        self._lengths = np.array([len(rows) for rows in lists])
        self._rows = np.zeros((len(lists), self._lengths.max()), np.int64)
        for own, rows in zip(self._rows, lists, strict=True):
            own[: len(rows)] = rows
        self._drawn: tuple[int, Array] | None = None

    def __len__(self) -> int:
        return self.size

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        """Inputs [B, D] and classes [B] by task; row b is of the same class in all of them.

        Args:
            indices: Which, 0 to the split's length less 1.
            seed: Of the draw.
        """
        if self._drawn is None or self._drawn[0] != seed:
            self._drawn = seed, self._draw(seed)
        drawn = torch.from_numpy(self._drawn[1][:, np.asarray(indices, np.int64)])
        inputs, targets = {}, {}
        for (task, (features, classes)), rows in zip(self.examples.items(), drawn, strict=True):
            inputs[task], targets[task] = features[rows], classes[rows]
        return Batch(inputs, targets)

    def _draw(self, seed: int) -> Array:
        """The rows [T, C * per_class] of a seed's draw: the beginning of a shuffle of every list."""
        shape = len(self._lengths) // len(self.examples), self.per_class
        numbers = np.concatenate(
            [
                np.random.default_rng(seed_for(seed, f"examples/{task}")).random(shape)
                for task in self.examples
            ]
        )
        rows, lists = self._rows.copy(), np.arange(len(self._lengths))
        for place in range(self.per_class):
            other = place + (numbers[:, place] * (self._lengths - place)).astype(np.int64)
            taken = rows[lists, other]
            rows[lists, other] = rows[:, place]
            rows[:, place] = taken
        return rows[:, : self.per_class].reshape(len(self.examples), self.size)


class UnevenSplit:
    """All examples in order; a task with fewer than others has none from its end on.

    Args:
        examples: By task.
    """

    def __init__(self, examples: Mapping[TaskName, Labelled]) -> None:
        self.examples = dict(examples)

    def __len__(self) -> int:
        return max(len(classes) for _, classes in self.examples.values())

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        """Inputs [B, D] and classes [B] by task; fewer where indices are beyond a task's end.

        Args:
            indices: Which, 0 to the split's length less 1.
            seed: Without effect: nothing is drawn.
        """
        asked = torch.as_tensor(indices, dtype=torch.int64)
        inputs, targets = {}, {}
        for task, (features, classes) in self.examples.items():
            rows = asked[asked < len(classes)]
            inputs[task], targets[task] = features[rows], classes[rows]
        return Batch(inputs, targets)


def _doubled(rows: Array, least: int) -> Array:
    assert len(rows), "every class should have an example"
    while len(rows) < least:
        rows = np.concatenate([rows, rows])
    return rows
