"""Selective updates: what a step costs and moves, its order, its state, its log."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from mtlrun.core.batch import Batch
from mtlrun.core.method import DivergedError, StepSettings
from mtlrun.updates._group_tracker import GroupTracker
from mtlrun.updates._groupings import All, Random, SignGraph, Singletons
from mtlrun.updates.selective import Selective
from tests.affinities.models import (
    fixture_point,
    noisy_point,
    task,
)
from tests.states import is_same, through_a_file
from tests.updates.groups import adam, close, ready, sgd, taken, toy_batch, toy_model

NAMES = ("a", "b", "c")


@pytest.mark.parametrize("num_groups", [1, 2, 3])
def test_m_groups_cost_m_backwards_and_one_forward_more(
    num_groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = toy_model()
    rule = ready(model, Random(num_groups=num_groups), adam())
    encoded: list[bool] = []
    backwards: list[int] = []
    encode, backward = model.encode, Tensor.backward
    monkeypatch.setattr(
        model, "encode", lambda *a: (encoded.append(torch.is_grad_enabled()), encode(*a))[1]
    )
    monkeypatch.setattr(
        Tensor, "backward", lambda self, *a: (backwards.append(1), backward(self, *a))[1]
    )
    rule.step(toy_batch(0))
    assert encoded == [True] * num_groups + [False]
    assert len(backwards) == num_groups


def watch_heads(rule: Selective) -> list[list[bool]]:
    """A list that each group's step adds to: which heads it moved."""
    moved: list[list[bool]] = []
    original, model = rule._move, rule.model

    def watching(losses: Tensor, group: Any) -> Tensor:
        before = [model.task_parameters(name)[0].detach().clone() for name in NAMES]
        norm = original(losses, group)
        after = [model.task_parameters(name)[0] for name in NAMES]
        moved.append([not torch.equal(*pair) for pair in zip(before, after, strict=True)])
        return norm

    rule._move = watching  # type: ignore[method-assign]
    return moved


def test_heads_of_other_groups_rest_under_momentum_and_decay() -> None:
    rule = ready(toy_model(), [[1, 2], [0]], adam())
    rule.step(toy_batch(0))
    moved = watch_heads(rule)
    rule.step(toy_batch(1))
    assert moved == [[False, True, True], [True, False, False]]


def test_gradients_of_0_let_momentum_move_heads_that_were_stepped_before() -> None:
    rule = ready(toy_model(), [[0], [1, 2]], adam(), frozen_heads="zero_grad")
    moved = watch_heads(rule)
    for step in range(2):
        rule.step(toy_batch(step))
    assert moved == [[True, False, False], [True] * 3, [True] * 3, [True] * 3]


@pytest.mark.parametrize(("given", "factor"), [("num_tasks", 3.0), (2.5, 2.5)])
def test_heads_can_learn_faster(given: Any, factor: float) -> None:
    plain, fast = noisy_point(lr=0.03, dropout=0.0), noisy_point(lr=0.03, dropout=0.0)
    start = copy.deepcopy(plain.model.state_dict())
    taken(plain, All())
    rule, _ = taken(fast, All(), head_lr_mult=given)
    for name, was in start.items():
        if "running" in name or "num_batches" in name:
            continue
        step, other = (own.model.state_dict()[name] - was for own in (plain, fast))
        own_factor = factor if name.startswith("heads") else 1.0
        close(other, own_factor * step, 1e-14)
    assert [group["lr"] for group in rule.optimizers[0].param_groups] == [0.03, 0.03 * factor]


def test_losses_are_weighted_by_task() -> None:
    point, other = fixture_point(), fixture_point()
    _, passes = taken(point, All(), loss_weights={"b": 0.0, "c": 0.0})
    _, alone = taken(other, [[0], [1], [2]])
    assert torch.equal(passes[1], alone[1])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("forward", [[0, 2], [1]]),
        ("backward", [[1], [0, 2]]),
        (["c", "b", "a"], [[0, 2], [1]]),
        (["b", "a", "c"], [[1], [0, 2]]),
    ],
)
def test_groups_step_in_the_order_asked_for(order: Any, expected: list[list[int]]) -> None:
    rule = ready(toy_model(), [[1], [2, 0]], adam(), order=order)
    assert [list(group) for group in rule.tracker.next_groups()] == expected


def test_a_drawn_order_is_drawn_anew_for_every_batch_from_the_seed() -> None:
    def orders(seed: int) -> list[Any]:
        rule = ready(toy_model(), Singletons(), adam(), order="random", seed=seed)
        return [rule.tracker.next_groups() for _ in range(30)]

    assert orders(0) == orders(0) != orders(1)
    assert len(set(orders(0))) == 6


@pytest.mark.parametrize(
    "settings",
    [
        {"grouping": Random(num_groups=1)},
        {"grouping": Random(num_groups=2)},
        {"grouping": Singletons()},
        {"grouping": SignGraph(), "warmup": 3, "beta": 0.2},
        {"grouping": SignGraph(), "attribution": "lagged", "frozen_heads": "zero_grad"},
        {"grouping": SignGraph(), "noise": "fresh", "head_lr_mult": "num_tasks"},
    ],
    ids=["one group", "random", "singletons", "warm-up", "lagged", "fresh noise"],
)
def test_a_resumed_training_goes_on_bit_for_bit(settings: dict[str, Any]) -> None:
    def fresh() -> Any:
        own = {"order": "random", "beta": 0.1} | settings
        return ready(toy_model(), own.pop("grouping"), adam(), **own)

    def state(rule: Any) -> dict[str, Any]:
        return {
            "model": rule.model.state_dict(),
            "rule": rule.state_dict(),
            "random": torch.get_rng_state(),
            "learned": rule.learned(),
        }

    straight, first, second = fresh(), fresh(), fresh()
    torch.manual_seed(0)
    for step in range(8):
        straight.step(toy_batch(step))
    expected = state(straight)
    for stop in range(1, 8):
        torch.manual_seed(0)
        first = fresh()
        for step in range(stop):
            first.step(toy_batch(step))
        saved = through_a_file({k: v for k, v in state(first).items() if k != "learned"})
        torch.manual_seed(99)
        second = fresh()
        second.model.load_state_dict(saved["model"])
        second.load_state_dict(saved["rule"])
        torch.set_rng_state(saved["random"])
        for step in range(stop, 8):
            second.step(toy_batch(step))
        assert is_same(state(second), expected), stop


def test_warmup_counts_batches_and_what_reads_no_affinity_waits_for_none() -> None:
    def tracker(grouping: Any) -> GroupTracker:
        made = GroupTracker(
            NAMES, grouping=grouping, seed=0, warmup=2, order="forward", beta=1.0,
            conflict="abs", self_update="always", divide_by_group_size=False,
        )  # fmt: skip
        made.affinity = torch.ones(3, 3, dtype=torch.float64)
        return made

    waiting = tracker(SignGraph())
    assert [len(waiting.next_groups()) for _ in range(4)] == [3, 3, 1, 1]
    assert len(tracker(All()).next_groups()) == 1
    learned = waiting.learned()
    assert learned["groups_per_batch"] == {"mean": 2.0, "last": 1}
    assert learned["co_grouping"]["a"] == {"a": 1.0, "b": 0.5, "c": 0.5}
    assert learned["last_groups"] == [["a", "b", "c"]]


@pytest.mark.parametrize(("attribution", "single"), [("exact", 1), ("lagged", 2)])
def test_every_optimizer_step_is_counted(attribution: Any, single: int) -> None:
    for num_groups, expected in ((1, single), (2, 2), (3, 3)):
        rule = ready(toy_model(), Random(num_groups=num_groups), adam(), attribution=attribution)
        for step in range(2):
            rule.step(toy_batch(step))
        states = rule.optimizers[0].state.values()
        assert max(int(own["step"]) for own in states) == 2 * expected
        assert rule.learned()["steps_per_batch"] == expected
        assert rule.learned()["groups_per_batch"]["mean"] == num_groups


def test_the_log_holds_groups_affinities_and_the_first_losses() -> None:
    point = fixture_point()
    rule = ready(point.model, [[0], [1, 2]], sgd(0.1))
    output = rule.step(point.batch)
    assert {name: float(loss) for name, loss in output.losses.items()} == {
        "a": 0.5, "b": 0.5, "c": 2.0,
    }  # fmt: skip
    assert (output.scalars["groups"], output.scalars["groups_mean"]) == (2.0, 2.0)
    assert output.scalars["affinity/a/b"] == pytest.approx(-0.44)
    assert output.scalars["below_rounding"] == 0.0
    assert len(output.scalars) == 4 + 9


@pytest.mark.parametrize(("rate", "share"), [(0.1, 0.0), (1e-17, 1.0)])
def test_steps_too_small_for_the_floats_are_counted(rate: float, share: float) -> None:
    point = fixture_point()  # float64
    rule = ready(point.model, [[0], [1, 2]], sgd(rate))
    rule.step(point.batch)
    assert rule.learned()["below_rounding"] == share
    assert rule.learned()["rounding"] == torch.finfo(torch.float64).eps


def test_half_precision_passes_train() -> None:
    model = toy_model(norm="layer")
    rule = ready(model, Random(num_groups=2), adam())
    rule.settings = StepSettings("bf16")
    first = rule.step(toy_batch(0)).losses
    for step in range(1, 40):
        last = rule.step(toy_batch(step)).losses
    assert all(float(last[name]) < float(first[name]) for name in NAMES)
    assert next(model.parameters()).dtype == torch.float32


def test_a_loss_that_is_not_finite_is_named_in_any_pass() -> None:
    point = fixture_point(1e200)
    with pytest.raises(DivergedError, match="loss of task `a`, `b`, `c` should be finite"):
        taken(point, Singletons())


def test_one_task_alone_is_one_group() -> None:
    torch.manual_seed(0)
    point = noisy_point(num_tasks=1)
    rule, passes = taken(point, SignGraph())
    assert len(passes) == 2
    assert rule.tracker.affinity.shape == (1, 1)


@pytest.mark.parametrize("beta", [0.0, 1.5, -1.0])
def test_averages_without_meaning_are_refused(beta: float) -> None:
    with pytest.raises(ValueError, match=r"method\.beta"):
        ready(toy_model(), All(), adam(), beta=beta)


def test_zero_and_opposite_gradients_are_no_news() -> None:
    flat = task("flat", lambda prediction, _: 0.0 * prediction.sum() + 1.0)
    point = fixture_point()
    model = copy.deepcopy(point.model)
    model.tasks = (flat, *model.tasks[1:])
    model.heads = torch.nn.ModuleDict(
        {t.name: head for t, head in zip(model.tasks, model.heads.values(), strict=True)}
    )
    batch = Batch(point.batch.inputs, {t.name: torch.ones(()) for t in model.tasks})
    rule = ready(model, Singletons(), sgd(0.1))
    rule.step(batch)
    assert not rule.tracker.affinity[0].any()
    assert not rule.tracker.affinity[:, 0].any()
