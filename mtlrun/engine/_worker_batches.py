"""Batches from worker processes, through shared memory that is written again and again.

New shared memory costs several times what filling it costs: every page is a fault. So a worker keeps
a few slots, writes its batches to them in turn, and the training process copies each out.
"""

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from mtlrun.core.batch import Batch
from mtlrun.core.data import Split

Key = tuple[list[int], int]  # which examples, and the seed of their augmentation
Place = tuple[int, int]  # a worker, and which of its slots

AHEAD = 2  # batches of a worker that wait
SLOTS = AHEAD + 1  # and one that is being copied out


@dataclass(frozen=True)
class _Slot:
    """Shared memory for a batch.

    Attributes:
        born: The number of the batch that it was made for.
        stamp: [1], the number of the batch that it holds.
        batch: The memory.
    """

    born: int
    stamp: Tensor
    batch: Batch


@dataclass(frozen=True)
class _Sent:
    """What a worker answers: where a batch is, of which sizes; the slot only where it may be unknown."""

    place: Place
    number: int
    sizes: list[int]
    slot: _Slot | None


class WorkerBatches:
    """Fetches batches in processes that live as long as this.

    Args:
        split: The examples.
        num_workers: Processes, 1 or more.
    """

    def __init__(self, split: Split, num_workers: int) -> None:
        self._slots: dict[Place, _Slot] = {}
        self._keys = _Keys(self._slots)
        self._loader: DataLoader[_Sent] = DataLoader(
            _Sender(split),
            batch_size=None,
            sampler=self._keys,
            num_workers=num_workers,
            prefetch_factor=AHEAD,
            persistent_workers=True,
            collate_fn=_same,
            worker_init_fn=_leave_signals,
            generator=torch.Generator(),  # else it draws from the one that dropout draws from
        )

    def fetch(self, keys: Sequence[Key]) -> Iterator[Batch]:
        """The batches of keys, in order; pinned where there is an accelerator to copy them to."""
        self._keys.keys = keys
        for sent in self._loader:
            if sent.slot is not None:
                self._slots[sent.place] = sent.slot
            slot = self._slots[sent.place]
            batch = _begin(slot.batch, sent.sizes).map(_own)
            assert slot.stamp.item() == sent.number, "a worker wrote to a slot that was in use"
            yield batch


class _Keys:
    """What the workers fetch next, each with the slots known by then; set anew for every pass."""

    def __init__(self, slots: Mapping[Place, _Slot]) -> None:
        self.keys: Sequence[Key] = ()
        self._slots = slots

    def __iter__(self) -> Iterator[tuple[Key, dict[Place, int]]]:
        for key in self.keys:
            yield key, {place: slot.born for place, slot in self._slots.items()}

    def __len__(self) -> int:
        return len(self.keys)


@dataclass
class _Sender(Dataset[_Sent]):
    """Runs in a worker."""

    split: Split
    slots: dict[int, _Slot] = field(default_factory=dict)
    sent: int = 0

    def __getitem__(self, asked: tuple[Key, dict[Place, int]]) -> _Sent:
        (indices, seed), known = asked
        batch = self.split.fetch(indices, seed=seed)
        worker: Any = get_worker_info()
        place = worker.id, self.sent % SLOTS
        slot = self.slots.get(place[1])
        if slot is None or not _fits(batch, slot.batch):
            slot = _Slot(self.sent, torch.zeros(1, dtype=torch.int64), batch.map(torch.empty_like))
            for tensor in (slot.stamp, *slot.batch.tensors()):
                tensor.share_memory_()  # type: ignore[no-untyped-call]  # torch has no types there
            self.slots[place[1]] = slot
        slot.stamp.fill_(self.sent)
        sizes = [len(own) for own in batch.tensors()]
        written = _begin(slot.batch, sizes).tensors()
        for tensor, own in zip(written, batch.tensors(), strict=True):
            tensor.copy_(own)
        number, self.sent = self.sent, self.sent + 1
        return _Sent(place, number, sizes, None if known.get(place) == slot.born else slot)


def _begin(batch: Batch, sizes: Sequence[int]) -> Batch:
    """The first examples of every tensor: tasks with inputs of their own may have more or fewer."""
    left = iter(sizes)
    return batch.map(lambda tensor: tensor[: next(left)])


def _fits(batch: Batch, memory: Batch) -> bool:
    """Whether a batch is like the one that memory was made for, or has fewer examples."""
    return all(
        len(own) <= len(there) and own.shape[1:] == there.shape[1:] and own.dtype == there.dtype
        for own, there in zip(batch.tensors(), memory.tensors(), strict=True)
    )


def _own(tensor: Tensor) -> Tensor:
    """A copy: for an accelerator pinned and ordered as it is, else ordered as its axes are."""
    if torch.cuda.is_available():
        return torch.empty_like(tensor, pin_memory=True).copy_(tensor)
    return torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor)


def _leave_signals(_: int) -> None:
    """Ctrl-C reaches the workers too: they go on until training has its checkpoint."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _same(sent: Any) -> Any:
    return sent
