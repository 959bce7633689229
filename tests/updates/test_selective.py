"""Selective updates: the values and laws of sub-steps, float64 wherever a law is exact."""

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError

from mtlrun.backbones.vit_tiny import ViTTiny
from mtlrun.core.batch import Batch
from mtlrun.core.data import InputSpec
from mtlrun.core.method import StepSettings
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Output, Task
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.updates._groupings import All, Random, SignGraph, Singletons
from mtlrun.updates._proximal import relative_changes, track
from mtlrun.updates.joint import Joint
from mtlrun.weightings.equal import Equal
from tests.affinities.models import (
    fixture_point,
    image_point,
    losses_of,
    noisy_point,
    quadratic_point,
)
from tests.states import is_same
from tests.updates.groups import (
    adam,
    close,
    ready,
    sgd,
    stepped,
    taken,
    toy_batch,
    toy_model,
    watch,
)

NAMES = ("a", "b", "c")


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
