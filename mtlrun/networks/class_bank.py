"""The training examples of every task and class, for what one task's example has in common with them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mtlrun.core.batch import TaskName
from mtlrun.core.data import ClassAligned


class ClassBank(nn.Module):
    """Keeps training inputs in memory, [C, T, N, D] with zeros behind a class's last.

    It has no parameters and nothing of it is saved: it is made of the data again.

    Attributes:
        centres: [T, C, D] mean inputs of every class.

    Args:
        inputs: For each task [N_t, D].
        classes: For each task [N_t], in 0..C-1.
        num_classes: C; each has an example of every task.

    Raises:
        ValueError: If a class has no example of a task.
    """

    keys: Tensor
    is_key: Tensor
    centres: Tensor

    def __init__(
        self, inputs: Sequence[Tensor], classes: Sequence[Tensor], *, num_classes: int
    ) -> None:
        super().__init__()
        counts = torch.stack([torch.bincount(own, minlength=num_classes) for own in classes])
        if not bool((counts > 0).all()):
            task, missing = (counts == 0).nonzero()[0].tolist()
            raise ValueError(
                f"Every task should have a training example of each of the {num_classes} classes. "
                f"Found none of class {missing} for task {task}. Set data.train_share higher."
            )
        largest = int(counts.max())
        keys = inputs[0].new_zeros(num_classes, len(inputs), largest, inputs[0].shape[1])
        for t, (values, own) in enumerate(zip(inputs, classes, strict=True)):
            order = own.argsort(stable=True)
            begins = counts[t].cumsum(0) - counts[t]
            places = torch.arange(len(own)) - begins[own[order]]
            keys[own[order], t, places] = values[order]
        self.register_buffer("keys", keys, persistent=False)
        is_key = torch.arange(largest) < counts.T.unsqueeze(-1)  # [C, T, N]
        self.register_buffer("is_key", is_key, persistent=False)
        centres = keys.sum(2).transpose(0, 1) / counts.unsqueeze(-1)
        self.register_buffer("centres", centres, persistent=False)

    @classmethod
    def of(cls, data: ClassAligned, tasks: Sequence[TaskName]) -> "ClassBank":
        """The training examples of a dataset."""
        inputs, classes = zip(*(data.labelled(task) for task in tasks), strict=True)
        return cls(inputs, classes, num_classes=len(data.classes))

    def identity(self) -> dict[str, Any]:
        """The data's name tells what is in it."""
        return {"kind": "ClassBank"}

    def shares(self, inputs: Sequence[Tensor], classes: Tensor) -> "Attention":
        """How every input attends to the examples of its class, in every task.

        Source: VMTL, Table B.3 ("cross attention"), as its released program computes it: scores are
        inner products, divided by the range of their row, then a softmax. Nothing of it is learned.

        Args:
            inputs: Of each of K tasks [B, D], ordered by class.
            classes: [B], of all K.
        """
        found, counts = torch.unique_consecutive(classes, return_counts=True)
        if bool((counts != counts[0]).any()):  # else all of a class read its keys together
            found = classes
        groups, width = len(found), inputs[0].shape[1]
        rows = torch.cat([own.view(groups, -1, width) for own in inputs], 1)  # [G, K k, D]
        all_classes = groups == len(self.keys) and groups == len(counts)
        keys = self.keys if all_classes else self.keys[found]
        is_key = self.is_key if all_classes else self.is_key[found]
        scores = rows @ keys.flatten(1, 2).transpose(1, 2)  # [G, K k, T N]
        scores = scores.view(groups, len(inputs), -1, *is_key.shape[1:])
        return Attention(keys, _shares(scores, is_key[:, None, None]))


@dataclass(frozen=True)
class Attention:
    """Shares of examples in what other tasks make of an input.

    Attributes:
        keys: [G, T, N, D], of G classes.
        shares: [G, K, k, T, N], of k inputs of each class, for K tasks.
    """

    keys: Tensor
    shares: Tensor

    def related(self, places: Sequence[int], *, behind: Tensor | None = None) -> Tensor:
        """[K, T - 1, B, D] related features of some tasks' inputs in the other tasks.

        Args:
            places: Of the K tasks among the T.
            behind: Rows [R, D] that they are laid behind: the result is [R + K (T - 1) B, D] then.
        """
        groups, _, rows, count, _ = self.shares.shape
        shape = (len(places), count - 1, groups, rows, self.keys.shape[-1])
        first = 0 if behind is None else len(behind)
        found = self.keys.new_empty(first + math.prod(shape[:-1]), shape[-1])
        for into, place in zip(found[first:].view(shape), places, strict=True):
            others = [task for task in range(count) if task != place]
            for own, task in zip(into, others, strict=True):
                torch.bmm(self.shares[:, place, :, task], self.keys[:, task], out=own)
        if behind is not None:
            found[:first] = behind
        return found.view(shape).flatten(2, 3) if behind is None else found


def _shares(scores: Tensor, is_key: Tensor) -> Tensor:
    """The softmax over the last axis of scores divided by their range, over keys only."""
    highest = scores.masked_fill(~is_key, -torch.inf).amax(-1, keepdim=True)
    lowest = scores.masked_fill(~is_key, torch.inf).amin(-1, keepdim=True)
    spread = (highest - lowest).clamp_min(torch.finfo(scores.dtype).tiny)
    below = ((scores - highest) / spread).masked_fill(~is_key, -torch.inf)
    return below.softmax(-1)
