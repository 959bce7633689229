"""Selective updates: the values and laws of sub-steps, float64 wherever a law is exact."""

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError

from mtlrun.backbones.vit_tiny import ViTTiny
from mtlrun.core.batch import Batch
from mtlrun.core.data import InputSpec
from mtlrun.core.method import DivergedError, StepSettings
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Output, Task
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.updates._group_tracker import GroupTracker
from mtlrun.updates._groupings import All, Random, SignGraph, Singletons
from mtlrun.updates._proximal import relative_changes, track
from mtlrun.updates.joint import Joint
from mtlrun.updates.selective import Selective
from mtlrun.weightings.equal import Equal
from tests.affinities.models import (
    fixture_point,
    image_point,
    losses_of,
    noisy_point,
    quadratic_point,
    task,
)
from tests.contracts.test_rules import is_same, through_a_file
from tests.updates.groups import adam, ready, sgd, stepped, taken, toy_batch, toy_model, watch

NAMES = ("a", "b", "c")


def close(found: Any, expected: Any, digits: float = 1e-9) -> None:
    torch.testing.assert_close(
        torch.as_tensor(found, dtype=torch.float64),
        torch.as_tensor(expected, dtype=torch.float64),
        rtol=0,
        atol=digits,
    )


# Golden: the tiny model by an independent program (algorithms 10.1); SGD at 0.1.
def test_sub_steps_of_the_tiny_model_have_the_known_losses_and_changes() -> None:
    rule, passes = taken(fixture_point(), [[0], [1, 2]])
    close(passes[1], (0.31205, 0.72, 2.205), 1e-12)
    close(passes[2], (0.8256125, 0.02294082, 1.124775011))
    changes = (-1.645769909, 0.968137750, 0.489897954)
    close(rule.tracker.affinity[0], (0.3759, -0.44, -0.1025), 1e-12)
    close(rule.tracker.affinity[1], changes)
    close(rule.tracker.affinity[2], changes)


def test_three_groups_of_the_tiny_model_have_the_known_losses() -> None:
    _, passes = taken(fixture_point(), [[0], [1], [2]])
    close(passes[1], (0.31205, 0.72, 2.205), 1e-12)
    close(passes[2], (0.555458, 0.183908995, 1.7298))
    close(passes[3], (0.79203698, 0.033548789, 1.226470797))


def test_tasks_of_a_group_that_move_apart_harm_each_other_as_the_paper_says() -> None:
    rule, passes = taken(fixture_point(), [[0, 1, 2]])
    close(1 - passes[1] / passes[0], (-0.5129, 0.8911, 0.3916), 5e-5)
    change = 1 - passes[1] / passes[0]
    harm_b, harm_c = -float(change[1]), -float(change[0].abs())
    close(rule.tracker.affinity[0, 1], harm_b, 1e-12)
    close(rule.tracker.affinity[1, 0], harm_b, 1e-12)
    close(rule.tracker.affinity[0, 2], harm_c, 1e-12)
    close(rule.tracker.affinity[1, 2], change[2], 1e-12)
    close(rule.tracker.affinity.diagonal(), change, 1e-12)


def test_the_published_program_takes_minus_the_positive_change_by_the_groups_size() -> None:
    settings = {"conflict": "signed", "divide_by_group_size": True, "self_update": "nonneg"}
    rule, passes = taken(fixture_point(), [[0, 1, 2]], **settings)
    change = (1 - passes[1] / passes[0]) / 3
    found = rule.tracker.affinity
    close(found[0, 1], -0.8911 / 3, 2e-5)
    close(found[1, 0], -change[1], 1e-12)
    close(found[0, 2], -change[2], 1e-12)  # the paper: minus the larger size, 0.5129
    assert found[0, 0] == 0  # a negative change of its own: left as it was
    close(found[2, 2], change[2], 1e-12)


@pytest.mark.parametrize("kind", ["resnet", "toy", "vit"])
@pytest.mark.parametrize("groups", [Singletons(), Random(num_groups=2), All()])
def test_changes_of_a_batch_telescope_on_real_networks(kind: str, groups: Any) -> None:
    if kind == "resnet":
        point = image_point(lr=0.02)
        model, batch = point.model, point.batch
    elif kind == "toy":
        point = noisy_point(lr=0.02)
        model, batch = point.model, point.batch
    else:
        model, batch = small_vit()
    rule = ready(model, groups, sgd(0.02), order="random")
    passes = watch(rule)
    rule.step(batch)
    changes = [relative_changes(*pair) for pair in pairwise(passes)]
    product = torch.ones_like(passes[0])
    for change in changes:
        product *= 1 - change
    close(1 - passes[-1] / passes[0], 1 - product, 1e-14)
    assert float(changes[0].abs().max()) > 1e-6


def small_vit() -> tuple[HardSharing, Batch]:
    torch.manual_seed(0)
    tasks = [
        Task(name, Output("dense", 1), F.mse_loss, {"mae": MeanAbsoluteError}, {"mae": False})
        for name in NAMES
    ]
    with seeded(0, "backbone"):
        backbone = ViTTiny(InputSpec("image", (3, 16, 32)))
    model = HardSharing(backbone, tasks, seed=0).double().train()
    images = torch.randn(2, 3, 16, 32, dtype=torch.float64)
    return model, Batch(images, {n: torch.randn(2, 1, 16, 32, dtype=torch.float64) for n in NAMES})


@pytest.mark.parametrize("lr", [1e-3, 1e-4, 1e-5])
def test_changes_are_inner_products_of_gradients_to_first_order(lr: float) -> None:
    # g = (-1, 2, 2), h = (-1, 1, -2), L = (.5, .5, 2) at the tiny model's start
    g, h, start = torch.tensor([[-1.0, 2, 2], [-1, 1, -2], [0.5, 0.5, 2]], dtype=torch.float64)
    group = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    rule, _ = taken(fixture_point(lr), [[0, 2], [1]], conflict="abs")
    found = rule.tracker.affinity[0].clone()
    found[2] = rule.tracker.affinity[2, 2]  # the pair (0, 2) moves apart: take the plain change
    expected = lr * ((group * g).sum() * g + group * h**2) / start
    assert float((found - expected).abs().max()) < 40 * lr**2


def test_outside_the_group_the_proximal_affinity_is_the_affinity() -> None:
    rule, passes = taken(fixture_point(), [[0, 1], [2]])
    fixed = stepped(fixture_point(), [0, 1], heads=[])
    own = stepped(fixture_point(), [0, 1], heads=[0, 1])
    assert float(passes[1][2]) == fixed[2]
    close(passes[1], own, 1e-15)
    assert float(rule.tracker.affinity[0, 2]) == float(1 - passes[1][2] / passes[0][2])


@pytest.mark.parametrize("lr", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("group", [[0], [1, 2], [0, 1, 2]])
def test_moving_the_heads_helps_their_tasks(lr: float, group: list[int]) -> None:
    _, passes = taken(fixture_point(lr), [group, *([k] for k in range(3) if k not in group)])
    with_heads = 1 - passes[1] / passes[0]
    fixed = torch.tensor(stepped(fixture_point(lr), group, heads=[]), dtype=torch.float64)
    alone = 1 - fixed / passes[0]
    for k in group:
        assert float(alone[k]) <= float(with_heads[k])


@pytest.mark.parametrize(("i", "k"), [(0, 1), (1, 0), (1, 2), (2, 0)])
def test_the_targets_own_gradient_adds_its_square_to_first_order(i: int, k: int) -> None:
    lr, g, start = 1e-5, (-1.0, 2.0, 2.0), (0.5, 0.5, 2.0)
    both = stepped(fixture_point(lr), [i, k], heads=[])[k]
    one = stepped(fixture_point(lr), [i], heads=[])[k]
    assert (one - both) / start[k] == pytest.approx(lr * g[k] ** 2 / start[k], rel=1e-3)


def test_groups_with_aligned_gradients_help_more() -> None:
    # to first order A[{i,k}->k] >= A[{j,k}->k] iff g_i . g_k >= g_j . g_k, here 4 > -2
    aligned = stepped(fixture_point(1e-3), [2, 1], heads=[])[1]
    opposed = stepped(fixture_point(1e-3), [0, 1], heads=[])[1]
    assert aligned < opposed


def test_the_sum_of_losses_obeys_the_bound_for_smooth_losses() -> None:
    # a |phi - c|^2 / 2 is smooth with H = max a; eta = min(2 / (H K), 1 / (H |G|)); no heads
    curvatures, group = [1.0, 2.0, 0.5], [0, 2]
    torch.manual_seed(1)
    centers = torch.randn(3, 4, dtype=torch.float64)
    phi = torch.randn(4, dtype=torch.float64)
    lr = min(2 / (2.0 * 3), 1 / (2.0 * 2))
    point = quadratic_point(curvatures, centers, [1.0, 1.0, 1.0], phi=phi, lr=lr)
    gradients = torch.tensor(curvatures)[:, None] * (phi - centers)
    own = gradients[group].sum(0)
    _, passes = taken(point, [group, [1]])
    bound = passes[0].sum() - lr * own @ (gradients.sum(0) - own)
    assert float(passes[1].sum()) <= float(bound) + 1e-12


def test_stepping_a_harmful_task_first_helps_at_least_as_much_as_stepping_all_together() -> None:
    # task 0 harms 1 and 2, which help each other; the head's gradient grows after the harm
    for lr in (1e-3, 1e-4):
        _, joint = taken(fixture_point(lr), [[0, 1, 2]])
        _, first = taken(fixture_point(lr), [[0], [1, 2]])
        _, last = taken(fixture_point(lr), [[1, 2], [0]])
        gain = float(joint[-1][1] - first[-1][1])
        assert gain > 0
        assert abs(float(last[-1][1] - joint[-1][1])) < 60 * lr**2


def test_with_a_rate_of_0_nothing_changes_and_tasks_stay_alone() -> None:
    point = noisy_point(lr=0.0)
    rule = ready(point.model, SignGraph(), sgd(0.0), beta=0.1)
    for _ in range(5):
        rule.step(point.batch)
    assert not rule.tracker.affinity.any()
    assert rule.tracker.groups == ((0,), (1,), (2,))


def test_fresh_noise_is_taken_for_a_change_even_at_a_rate_of_0() -> None:
    point = noisy_point(lr=0.0)
    rule = ready(point.model, Singletons(), sgd(0.0), noise="fresh")
    rule.step(point.batch)
    assert rule.tracker.affinity.abs().max() > 1e-3


@pytest.mark.parametrize("optimizer", [sgd(0.05), adam()])
def test_one_group_of_all_is_joint_training_bit_for_bit(optimizer: Any) -> None:
    joint, groups = toy_model(), toy_model()
    plain, rule = Joint(Equal()), ready(groups, All(), optimizer, beta=0.001)
    plain.setup(joint, joint.tasks, optimizer, StepSettings())
    states = []
    for own in (plain, rule):
        torch.manual_seed(3)
        for step in range(10):
            output = own.step(toy_batch(step))
        states.append((own.model.state_dict(), torch.get_rng_state(), dict(output.losses)))
    assert is_same(*states)


def test_singletons_under_sgd_are_single_task_steps_in_turn() -> None:
    point = noisy_point(lr=0.03, dropout=0.0)
    expected = copy.deepcopy(point.model)
    for k in range(3):
        losses = losses_of(expected, point.batch)
        names = [task.name for task in expected.tasks]
        own = [*expected.shared_parameters(), *expected.task_parameters(names[k])]
        gradients = torch.autograd.grad(losses[k], own)
        with torch.no_grad():
            for parameter, gradient in zip(own, gradients, strict=True):
                parameter.sub_(0.03 * gradient)
    taken(point, Singletons())
    for mine, theirs in zip(
        point.model.state_dict().values(), expected.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("beta", [1.0, 0.3, 1e-3])
def test_a_constant_change_is_approached_geometrically(beta: float) -> None:
    table = torch.zeros(3, 3, dtype=torch.float64)
    change = torch.tensor([0.2, -0.1, 0.4], dtype=torch.float64)
    for _ in range(50):
        table = track(table, [1], change, beta=beta)
    close(table[1], (1 - (1 - beta) ** 50) * change, 1e-14)
    assert not table[[0, 2]].any()


def test_affinities_stay_below_1() -> None:
    point = fixture_point(0.3)
    rule = ready(point.model, Random(num_groups=2), sgd(0.3), order="random", beta=0.5)
    for _ in range(30):
        rule.step(point.batch)
        assert bool((rule.tracker.affinity < 1).all())


def test_losses_that_are_not_positive_leave_their_column_alone() -> None:
    before = torch.tensor([0.0, -1.0, 2.0], dtype=torch.float64)
    after = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    table = torch.full((3, 3), 7.0, dtype=torch.float64)
    found = track(table, [0, 1, 2], relative_changes(before, after), beta=1.0)
    assert torch.equal(found[:, :2], table[:, :2])
    close(found[:, 2], [0.5, 0.5, 0.5])


def test_lagged_attribution_credits_a_group_with_the_step_before_its_own() -> None:
    exact, passes = taken(fixture_point(), [[0], [1], [2]])
    lagged, fewer = taken(fixture_point(), [[0], [1], [2]], attribution="lagged")
    assert (len(passes), len(fewer)) == (4, 3)
    assert is_same(passes[:3], fewer)
    assert torch.equal(lagged.tracker.affinity[1:], exact.tracker.affinity[:2])
    assert not lagged.tracker.affinity[0].any()


def test_a_single_group_is_stepped_twice_under_lagged_attribution() -> None:
    lagged, passes = taken(fixture_point(), All(), attribution="lagged")
    exact, once = taken(fixture_point(), All())
    assert len(passes) == 2
    assert torch.equal(passes[1], once[1])
    assert torch.equal(lagged.tracker.affinity, exact.tracker.affinity)
    twice, once_phi = (
        float(rule.model.shared_parameters()[0].detach()) for rule in (lagged, exact)
    )
    assert once_phi == pytest.approx(0.7)  # 1 - 0.1 (-1 + 2 + 2)
    assert twice < 0.66


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


def test_the_log_holds_groups_affinities_and_the_first_losses() -> None:
    point = fixture_point()
    rule = ready(point.model, [[0], [1, 2]], sgd(0.1))
    output = rule.step(point.batch)
    assert {name: float(loss) for name, loss in output.losses.items()} == {
        "a": 0.5, "b": 0.5, "c": 2.0,
    }  # fmt: skip
    assert (output.scalars["groups"], output.scalars["groups_mean"]) == (2.0, 2.0)
    assert output.scalars["affinity/a/b"] == pytest.approx(-0.44)
    assert len(output.scalars) == 3 + 9


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
