"""Batches in an order that depends on nothing but the seed and the epoch."""

from collections.abc import Iterator, Sequence

import torch

from mtlrun.core.batch import Batch
from mtlrun.core.data import Split
from mtlrun.core.distributed import num_processes, process_index
from mtlrun.core.seeding import generator_for, seed_for
from mtlrun.engine._worker_batches import Key, WorkerBatches


class TrainLoader:
    """The training split, shuffled every epoch; the last, incomplete batch is dropped.

    Under data parallelism every process loads its share of each global batch.

    Args:
        split: The examples.
        batch_size: Over all processes.
        seed: Of orders and augmentations.
        steps_per_epoch: At most so many batches an epoch; None for all.
        num_workers: Processes that load ahead; 0 for none.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        seed: int,
        steps_per_epoch: int | None = None,
        num_workers: int = 0,
    ) -> None:
        if not len(split):
            raise ValueError("The training split should hold examples. Found none.")
        self.split, self.seed = split, seed
        self.batch_size = min(batch_size, len(split))
        if self.batch_size % num_processes():
            raise ValueError(
                f"The batch of {self.batch_size} examples should divide evenly among "
                f"{num_processes()} processes. Set trainer.batch_size."
            )
        available = len(split) // self.batch_size
        self.steps_per_epoch = min(available, steps_per_epoch or available)
        self._workers = _workers(split, num_workers)

    def batches(self, epoch: int, *, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the one numbered `first`; the ones before are not loaded."""
        order = torch.randperm(
            len(self.split), generator=generator_for(self.seed, f"order/{epoch}")
        ).tolist()
        augmentation = seed_for(self.seed, f"augment/{epoch}")
        share = self.batch_size // num_processes()
        start = share * process_index()
        keys: list[Key] = []
        for step in range(first, self.steps_per_epoch):
            begin = step * self.batch_size + start
            keys.append((order[begin : begin + share], augmentation))
        yield from _run(self.split, self._workers, keys)

    def endless(self, *, first: int = 0) -> Iterator[Batch]:
        """The batches of epoch after epoch from the one numbered `first` of them all."""
        while True:
            epoch, start = divmod(first, self.steps_per_epoch)
            for batch in self.batches(epoch, first=start):
                yield batch
                first += 1


class Part:
    """Some of a split's examples, drawn and augmented as in the whole.

    Args:
        split: The whole.
        indices: Of those that are in the part.
    """

    def __init__(self, split: Split, indices: Sequence[int]) -> None:
        self.split, self.indices = split, tuple(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        """Some examples as a batch, on CPU."""
        return self.split.fetch([self.indices[index] for index in indices], seed=seed)


def held_out(split: Split, share: float, *, seed: int) -> tuple[Part, Part]:
    """A split in two, by chance: what is trained on, and the share that is held out.

    Raises:
        ValueError: If one of the two would be empty.
    """
    size = len(split)
    count = round(share * size)
    if not 0 < count < size:
        raise ValueError(
            f"The examples held out should be some of the {size} for training, not all. Found a "
            f"share of {share}, which is {count}. Set method.held_out_share."
        )
    order = torch.randperm(size, generator=generator_for(seed, "held_out")).tolist()
    return Part(split, sorted(order[count:])), Part(split, sorted(order[:count]))


class EvalLoader:
    """A whole split in order; under data parallelism every process loads every so many batches."""

    def __init__(
        self, split: Split, *, batch_size: int, max_batches: int | None, num_workers: int = 0
    ) -> None:
        self.split, self.batch_size, self.max_batches = split, batch_size, max_batches
        self._workers = _workers(split, num_workers)

    def batches(self) -> Iterator[Batch]:
        """The batches of this process."""
        size = len(self.split)
        starts = range(0, size, self.batch_size)[: self.max_batches]
        mine = starts[process_index() :: num_processes()]
        keys: list[Key] = [
            (list(range(start, min(start + self.batch_size, size))), 0) for start in mine
        ]
        yield from _run(self.split, self._workers, keys)


def _workers(split: Split, num_workers: int) -> WorkerBatches | None:
    return WorkerBatches(split, num_workers) if num_workers else None


def _run(split: Split, workers: WorkerBatches | None, keys: Sequence[Key]) -> Iterator[Batch]:
    if workers is not None:
        yield from workers.fetch(keys)
        return
    for indices, seed in keys:
        yield split.fetch(indices, seed=seed)
