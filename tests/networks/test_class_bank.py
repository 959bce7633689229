"""Attention to the examples of a class, against loops over samples, tasks and classes."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mtlrun.networks.class_bank import ClassBank
from tests.domains import batch_of, domains, network

T, D = 3, 4
COUNTS = [[2, 1, 4], [3, 3, 1], [1, 5, 2]]  # examples by task and class


def examples() -> tuple[list[Tensor], list[Tensor]]:
    """By task, classes in no order."""
    generator = torch.Generator().manual_seed(0)
    inputs, classes = [], []
    for counts in COUNTS:
        own = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
        own = own[torch.randperm(len(own), generator=generator)]
        classes.append(own)
        inputs.append(torch.randn(len(own), D, dtype=torch.float64, generator=generator))
    return inputs, classes


def bank() -> ClassBank:
    return ClassBank(*examples(), num_classes=3)


def naive(x: Tensor, label: int, task: int) -> Tensor:
    """Related feature of one input: scores by their range, softmax, weighted mean of the class's examples."""
    inputs, classes = examples()
    keys = inputs[task][classes[task] == label]
    scores = keys @ x
    spread = scores.max() - scores.min()
    shares = (scores / spread if len(keys) > 1 else scores).softmax(0)
    return shares @ keys


def queries(labels: list[int], num_tasks: int = T) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(num_tasks, len(labels), D, dtype=torch.float64, generator=generator)
    return list(inputs), torch.tensor(labels)


@pytest.mark.parametrize(
    "labels",
    [
        [0, 0, 1, 1, 2, 2],  # as many of every class
        [0, 0, 2, 2],  # a class missing
        [0, 1, 1, 1, 2, 2],  # not as many
        [1],
        [2, 2, 2],
    ],
    ids=str,
)
@pytest.mark.parametrize("places", [[0, 1, 2], [1], [2, 0]], ids=str)
def test_related_features_are_those_of_a_loop(labels: list[int], places: list[int]) -> None:
    inputs, classes = queries(labels)
    found = bank().shares(inputs, classes).related(places)
    assert found.shape == (len(places), T - 1, len(labels), D)
    for k, place in enumerate(places):
        others = [task for task in range(T) if task != place]  # never the own task
        for n, task in enumerate(others):
            for b, label in enumerate(labels):
                expected = naive(inputs[place][b], label, task)
                torch.testing.assert_close(found[k, n, b], expected, rtol=1e-12, atol=1e-12)


def test_related_features_lie_behind_other_rows_if_asked() -> None:
    inputs, classes = queries([0, 0, 1, 1, 2, 2])
    attention = bank().shares(inputs, classes)
    rows = torch.randn(7, D).double()
    found = attention.related([2, 0], behind=rows)
    assert torch.equal(found[:7], rows)
    assert torch.equal(found[7:], attention.related([2, 0]).flatten(0, 2))
    assert torch.equal(attention.related([2, 0], behind=rows[:0]), found[7:])


def test_padding_is_never_attended_and_shares_sum_to_1() -> None:
    own = bank()
    inputs, classes = queries([0, 0, 1, 1, 2, 2])
    shares = own.shares(inputs, classes).shares  # [G, K, k, T, N]
    torch.testing.assert_close(shares.sum(-1), torch.ones(shares.shape[:-1]).double())
    padding = ~own.is_key[:, None, None].expand_as(shares)
    assert padding.any()
    assert not shares[padding].any()
    own.keys[~own.is_key] = 1e6  # what stands there is read nowhere
    again = own.shares(inputs, classes)
    torch.testing.assert_close(again.shares, shares, rtol=0, atol=0)


def test_a_single_example_is_all_that_is_attended() -> None:
    inputs, classes = examples()
    (key,) = inputs[0][classes[0] == 1]
    queried, labels = queries([1, 1])
    found = bank().shares(queried, labels).related([1])
    torch.testing.assert_close(found[0, 0], key.expand(2, D))


@pytest.mark.parametrize("scale", [1e-10, 1.0, 1e10])
def test_shares_do_not_depend_on_the_scale_of_the_scores(scale: float) -> None:
    inputs, classes = queries([0, 0, 1, 1, 2, 2])
    expected = bank().shares(inputs, classes).shares
    torch.testing.assert_close(
        bank().shares([scale * own for own in inputs], classes).shares, expected
    )


def test_equal_scores_are_attended_alike() -> None:
    inputs, classes = queries([2, 2])
    found = bank().shares([0 * own for own in inputs], classes).shares
    torch.testing.assert_close(
        found[0, 0, 0, 0], torch.full((5,), 0.25).double() * bank().is_key[2, 0]
    )


def test_centres_are_the_means_of_classes() -> None:
    inputs, classes = examples()
    for task in range(T):
        for label in range(3):
            expected = inputs[task][classes[task] == label].mean(0)
            torch.testing.assert_close(bank().centres[task, label], expected)


def test_a_missing_class_is_named() -> None:
    inputs, classes = examples()
    with pytest.raises(ValueError, match=r"of each of the 4 classes\. Found none of class 3 for"):
        ClassBank(inputs, classes, num_classes=4)


def test_nothing_of_a_bank_is_saved_or_learned() -> None:
    assert not bank().state_dict()
    assert not list(bank().parameters())


def test_a_shuffled_batch_has_the_related_features_of_the_sorted_one() -> None:
    data = domains(per_class=2)
    model, batch = network(data), batch_of(data)
    order = torch.tensor([4, 1, 5, 0, 3, 2])
    sorted_one, attention = model.prepared(batch)
    shuffled, other = model.prepared(batch.map(lambda values: values[order]))
    assert attention is not None
    assert other is not None
    labels: Any = shuffled.targets["domain_0"]
    assert labels.tolist() == sorted_one.targets["domain_0"].tolist() == [0, 0, 1, 1, 2, 2]
    one, two = attention.related([0, 1, 2]), other.related([0, 1, 2])
    for task, name in enumerate(model.names):
        inputs: Any = (sorted_one.inputs, shuffled.inputs)
        places = [int((inputs[0][name] - row).abs().sum(1).argmin()) for row in inputs[1][name]]
        assert sorted(places) == list(range(6))
        torch.testing.assert_close(two[task], one[task][:, places])
        assert torch.equal(inputs[1][name], inputs[0][name][places])


def test_a_batch_of_other_classes_by_task_is_refused() -> None:
    data = domains()
    model, batch = network(data), batch_of(data)
    targets: Any = dict(batch.targets)
    targets["domain_1"] = targets["domain_1"].flip(0)
    with pytest.raises(ValueError, match="should hold the same classes, in the same order"):
        model.prepared(type(batch)(batch.inputs, targets))
