from typing import Any

import pytest
import torch

from mtlrun.core.data import ClassAligned
from mtlrun.data.multi_domain_toy import MultiDomainToy


def nearest_mean_accuracies(data: MultiDomainToy, *, pooled: bool) -> list[float]:
    """Of every task, by class means of its own training examples or of those of all tasks."""
    names = [task.name for task in data.tasks]
    train = {name: data.labelled(name) for name in names}
    test = data.split("test").examples
    found = []
    for name in names:
        used = [train[other] for other in (names if pooled else [name])]
        inputs, classes = (torch.cat(own) for own in zip(*used, strict=True))
        means = torch.stack([inputs[classes == c].mean(0) for c in range(len(data.classes))])
        chosen = torch.cdist(test[name][0], means).argmin(1)
        found.append(float((chosen == test[name][1]).float().mean()))
    return found


def test_it_has_classes_in_common() -> None:
    data = MultiDomainToy()
    assert isinstance(data, ClassAligned)
    assert len(data.classes) == 5
    assert data.inputs.shape == (48,)
    inputs, classes = data.labelled("domain_3")
    assert inputs.shape == (30, 48)
    assert torch.bincount(classes).tolist() == [6] * 5
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [20, 100, 250]  # type: ignore[arg-type]


def test_a_task_alone_is_neither_hopeless_nor_solved_and_others_help() -> None:
    found: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(4):
        for pooled, own in found.items():
            own.extend(nearest_mean_accuracies(MultiDomainToy(seed=seed), pooled=pooled))
    alone, together = (sum(own) / len(own) for own in found.values())
    assert 0.6 < alone < 0.8
    assert together > alone + 0.03


def test_domains_that_are_alike_differ_by_noise_only() -> None:
    data = MultiDomainToy(shift=0.0, num_domains=2, test_per_class=4000)
    means = [
        inputs[classes == 0].mean(0) for inputs, classes in data.split("test").examples.values()
    ]
    assert float((means[0] - means[1]).abs().max()) < 0.1
    moved = MultiDomainToy(num_domains=2, test_per_class=4000).split("test").examples
    means = [inputs[classes == 0].mean(0) for inputs, classes in moved.values()]
    assert float((means[0] - means[1]).abs().max()) > 0.3


def test_identity_follows_the_examples() -> None:
    first = MultiDomainToy().identity()
    assert MultiDomainToy().identity() == first
    for others in ({"seed": 1}, {"val_per_class": 3}, {"per_class": 2}, {"shift": 0.1}):
        assert MultiDomainToy(**others).identity() != first  # type: ignore[arg-type]  # what varies


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_domains", 0), ("num_classes", 1), ("per_class", 0), ("shift", -1.0), ("spread", -0.1)],
)
def test_bad_numbers_are_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Found `{name} = .*Set data\.{name}"):
        MultiDomainToy(**{name: value})
