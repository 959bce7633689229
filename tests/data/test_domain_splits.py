import time
from collections import Counter

import numpy as np
import pytest
import torch

from mtlrun.data._domain_splits import AlignedSplit, Labelled, UnevenSplit

COUNTS = {"a": (5, 9, 4), "b": (1, 3, 7)}  # examples by task and class


def made(counts: dict[str, tuple[int, ...]] = COUNTS, width: int = 2) -> dict[str, Labelled]:
    """Examples that are their own number, the classes one after another."""
    found = {}
    for task, own in counts.items():
        classes = torch.repeat_interleave(torch.arange(len(own)), torch.tensor(own))
        rows = torch.arange(len(classes), dtype=torch.float32)
        found[task] = rows[:, None].expand(-1, width).contiguous(), classes
    return found


def aligned(per_class: int = 4) -> AlignedSplit:
    return AlignedSplit(made(), num_classes=3, per_class=per_class)


def rows_of(split: AlignedSplit, task: str, *, seed: int) -> list[int]:
    inputs = split.fetch(range(len(split)), seed=seed).inputs
    assert not isinstance(inputs, torch.Tensor)
    return [int(row) for row in inputs[task][:, 0]]


@pytest.mark.parametrize("per_class", [1, 2, 4, 10])
def test_a_pass_has_the_same_number_of_every_class_for_every_task(per_class: int) -> None:
    split = aligned(per_class)
    assert len(split) == 3 * per_class
    targets = split.fetch(range(len(split)), seed=7).targets
    for task in COUNTS:
        assert targets[task].tolist() == [c for c in range(3) for _ in range(per_class)]
        assert targets[task].dtype == torch.int64


def test_no_example_is_twice_in_a_pass_where_there_are_enough() -> None:
    split = aligned(4)
    for seed in range(50):
        assert len(set(rows_of(split, "a", seed=seed))) == 12
        own = rows_of(split, "b", seed=seed)
        assert own[:4] == [0] * 4  # the only one of its class
        second = Counter(own[4:8])
        assert max(second.values()) == 2  # three of them, doubled to six: four of those
        assert len(set(own[8:])) == 4


def test_every_choice_of_examples_is_as_likely_in_every_order() -> None:
    split = AlignedSplit(made({"a": (3, 3)}), num_classes=2, per_class=2)
    draws = Counter(tuple(rows_of(split, "a", seed=seed)[:2]) for seed in range(6000))
    assert len(draws) == 6  # ordered pairs of three
    assert all(abs(count - 1000) < 130 for count in draws.values())  # 4.5 deviations


def test_rows_keep_the_order_of_the_indices_and_are_the_same_in_every_fetch() -> None:
    split = aligned()
    whole = split.fetch(range(12), seed=3)
    split.fetch([0], seed=99)
    order = [7, 0, 11, 7]
    part = aligned().fetch(order, seed=3)
    for one, other in zip(part.tensors(), whole.tensors(), strict=True):
        assert torch.equal(one, other[order])


def test_a_task_s_draws_depend_on_no_other_task() -> None:
    alone = AlignedSplit({"b": made()["b"]}, num_classes=3, per_class=4)
    for seed in range(5):
        assert rows_of(alone, "b", seed=seed) == rows_of(aligned(), "b", seed=seed)


def test_draws_change_with_the_seed() -> None:
    assert len({tuple(rows_of(aligned(), "a", seed=seed)) for seed in range(20)}) > 15


def test_a_task_that_ended_is_left_out() -> None:
    split = UnevenSplit(made())
    assert len(split) == 18
    batch = split.fetch([2, 17, 10, 11, 0], seed=0)
    assert not isinstance(batch.inputs, torch.Tensor)
    assert batch.inputs["a"][:, 0].tolist() == [2, 17, 10, 11, 0]
    assert batch.inputs["b"][:, 0].tolist() == [2, 10, 0]
    assert batch.targets["b"].tolist() == [1, 2, 0]
    assert split.fetch([15, 16], seed=0).inputs["b"].shape == (0, 2)  # type: ignore[index,call-overload]


def test_a_batch_costs_little_beside_a_step() -> None:
    rng = np.random.default_rng(0)
    counts = {f"t{k}": tuple(int(n) for n in rng.integers(5, 60, 10)) for k in range(4)}
    split = AlignedSplit(made(counts, width=1024), num_classes=10, per_class=4)
    order = list(range(40))
    seconds = []
    for seed in range(200):
        begin = time.perf_counter()
        split.fetch(order, seed=seed)
        seconds.append(time.perf_counter() - begin)
    assert np.median(seconds) < 1e-3
