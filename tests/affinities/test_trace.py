"""Collectors leave no trace, whatever their options."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from mtlrun.affinities.cosine import CosineCollector
from mtlrun.affinities.lookahead import LookaheadCollector, group_gain
from mtlrun.affinities.tag import TAGCollector
from mtlrun.core.method import AffinityCollector
from tests.affinities.models import fingerprint, losses_of, noisy_point

COLLECTORS: list[tuple[type[AffinityCollector], dict[str, Any], str]] = [
    *[
        (LookaheadCollector, {"rule": rule, "heads": heads, "batch_norm": norm}, optimizer)
        for rule, optimizer in (("sgd", "adam"), ("momentum", "momentum"), ("optimizer", "adam"))
        for heads in ("fixed", "own", "all")
        for norm in ("batch_frozen", "batch", "running")
    ],
    *[(LookaheadCollector, {"gains": gains}, "adam") for gains in ("first_order", "auto")],
    (LookaheadCollector, {"sampling": "uniform", "pair_gradient": "mean"}, "momentum"),
    *[
        (TAGCollector, {"rule": rule, "batch_norm": norm}, optimizer)
        for rule, optimizer in (("sgd", "adam"), ("momentum", "momentum"), ("optimizer", "adam"))
        for norm in ("batch_frozen", "batch", "running")
    ],
    *[(TAGCollector, {"gains": gains}, "adam") for gains in ("first_order", "auto")],
    *[(CosineCollector, {"matrices_only": only}, "adam") for only in (True, False)],
]


@pytest.mark.parametrize(("kind", "options", "optimizer"), COLLECTORS, ids=str)
@pytest.mark.parametrize("gradients", [True, False], ids=["with gradients", "without"])
def test_observing_leaves_everything_as_it_was(
    kind: Any, options: dict[str, Any], optimizer: str, gradients: bool
) -> None:
    point = noisy_point(optimizer=optimizer)
    if not gradients:
        point.optimizer.zero_grad(set_to_none=True)
    norm = point.model.get_submodule("backbone.stages.0.1")
    norm.eval()  # a mode that is not the model's
    before = fingerprint(point)
    collector = kind(**options)
    for _ in range(2):
        collector.observe(point)
        assert fingerprint(point) == before
    assert collector.state_dict()["sums"].any()


def test_a_group_gain_leaves_everything_as_it_was() -> None:
    point = noisy_point()
    before = fingerprint(point)
    group_gain(point, [0, 1], 2, rule="optimizer", batch_norm="running")
    assert fingerprint(point) == before


@pytest.mark.parametrize("kind", [LookaheadCollector, TAGCollector])
def test_an_error_half_way_leaves_everything_as_it_was(kind: Any) -> None:
    calls = []

    def failing(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 5:
            raise ArithmeticError
        return (prediction - target).square().mean()

    point = noisy_point()
    point = replace(point, tasks=(replace(point.tasks[0], loss=failing), *point.tasks[1:]))
    before = fingerprint(point)
    with pytest.raises(ArithmeticError):
        kind().observe(point)
    assert fingerprint(point) == before


@pytest.mark.parametrize("kind", [LookaheadCollector, TAGCollector, CosineCollector])
def test_training_goes_the_same_way_with_and_without_collection(kind: Any) -> None:
    watched, alone = noisy_point(), noisy_point()
    collector = kind()
    weights = []
    for point, watch in ((watched, True), (alone, False)):
        torch.manual_seed(1)
        for _ in range(4):
            if watch:
                collector.observe(point)
            point.optimizer.zero_grad()
            sum(losses_of(point.model, point.batch)).backward()
            point.optimizer.step()
        weights.append(copy.deepcopy(point.model.state_dict()))
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
