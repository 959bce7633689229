"""Orders and shares of batches."""

from collections.abc import Sequence

import pytest
import torch

from mtlrun.core.batch import Batch
from mtlrun.engine.loader import EvalLoader, TrainLoader

FEW_CORES = pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker")  # on one core


class Numbers:
    """Examples that are their own index; the target is the augmentation seed."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        return Batch(torch.tensor(indices), {"seed": torch.full((len(indices),), seed)})


def _indices(batches: object) -> list[list[int]]:
    return [batch.inputs.tolist() for batch in batches]  # type: ignore[attr-defined]


def test_an_epoch_visits_every_example_once_but_the_incomplete_batch() -> None:
    loader = TrainLoader(Numbers(22), batch_size=5, seed=0)
    epoch = _indices(loader.batches(0))
    assert [len(batch) for batch in epoch] == [5] * 4
    assert len({index for batch in epoch for index in batch}) == 20
    assert epoch != _indices(loader.batches(1))
    assert epoch == _indices(TrainLoader(Numbers(22), batch_size=5, seed=0).batches(0))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_epoch_can_be_entered_in_the_middle(num_workers: int) -> None:
    loader = TrainLoader(Numbers(20), batch_size=4, seed=1, num_workers=num_workers)
    whole = _indices(loader.batches(3))
    assert _indices(loader.batches(3, first=2)) == whole[2:]


def test_loading_leaves_the_generator_of_layers_alone() -> None:
    state = torch.get_rng_state()
    loader = TrainLoader(Numbers(20), batch_size=4, seed=1, num_workers=1)
    list(loader.batches(0))
    assert torch.equal(state, torch.get_rng_state())


def test_augmentation_seeds_change_with_the_epoch_only() -> None:
    loader = TrainLoader(Numbers(20), batch_size=4, seed=1)
    seeds = [{int(b.targets["seed"][0]) for b in loader.batches(epoch)} for epoch in (0, 1)]
    assert len(seeds[0]) == len(seeds[1]) == 1
    assert seeds[0] != seeds[1]


def test_a_split_smaller_than_a_batch_is_one_batch() -> None:
    loader = TrainLoader(Numbers(3), batch_size=8, seed=0)
    assert [len(batch) for batch in _indices(loader.batches(0))] == [3]


def test_evaluation_visits_all_in_order_or_stops_early() -> None:
    whole = EvalLoader(Numbers(7), batch_size=3, max_batches=None)
    assert _indices(whole.batches()) == [[0, 1, 2], [3, 4, 5], [6]]
    assert _indices(EvalLoader(Numbers(7), batch_size=3, max_batches=1).batches()) == [[0, 1, 2]]


class Pictures:
    """Examples whose batches are ordered in memory otherwise than their axes."""

    def __len__(self) -> int:
        return 7

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        values = torch.arange(7 * 4 * 5 * 3.0).view(7, 4, 5, 3)[list(indices)] + seed % 100
        return Batch(values.permute(0, 3, 1, 2), {"row": torch.tensor(indices)})


@FEW_CORES
def test_workers_bring_the_batches_of_no_workers_and_never_write_to_one_that_was_brought() -> None:
    alone, together = (
        EvalLoader(Pictures(), batch_size=3, max_batches=None, num_workers=n) for n in (0, 2)
    )
    brought = [batch for _ in range(5) for batch in together.batches()]
    expected = [batch for _ in range(5) for batch in alone.batches()]
    for one, other in zip(brought, expected, strict=True):
        for a, b in zip(one.tensors(), other.tensors(), strict=True):
            assert torch.equal(a, b)


@FEW_CORES
def test_workers_begin_anew_after_a_pass_that_was_left() -> None:
    loader = TrainLoader(Numbers(40), batch_size=2, seed=0, num_workers=2)
    for _ in range(4):
        left = loader.batches(0)
        next(left)
    assert _indices(loader.batches(0)) == _indices(
        TrainLoader(Numbers(40), batch_size=2, seed=0).batches(0)
    )


class Uneven:
    """Two tasks with inputs of their own, of which one has fewer examples."""

    def __len__(self) -> int:
        return 7

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        own = {"a": torch.tensor(indices)[torch.tensor(indices) < 4], "b": torch.tensor(indices)}
        return Batch(own, {task: 10 * inputs for task, inputs in own.items()})


@FEW_CORES
def test_workers_bring_batches_of_uneven_tasks() -> None:
    for seed in range(3):
        loaders = (
            TrainLoader(Uneven(), batch_size=3, seed=seed, num_workers=n).batches(0) for n in (0, 2)
        )
        for one, other in zip(*loaders, strict=True):
            assert len(one) == len(other) == 3
            for a, b in zip(one.tensors(), other.tensors(), strict=True):
                assert torch.equal(a, b)
