import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mtlrun.affinities import _stand_ins, _virtual
from mtlrun.affinities.lookahead import LookaheadCollector, group_gain
from mtlrun.core.batch import Batch
from mtlrun.networks.hard_sharing import HardSharing
from tests.affinities.models import (
    Naive,
    ScalarBackbone,
    fingerprint,
    fixture_point,
    half_square,
    image_point,
    noisy_point,
    observed,
    point_of,
    quadratic_point,
    task,
)


def naive_gains(point: Any, settings_: dict[str, Any]) -> Tensor:
    """By deep copies and full forward passes, from the definition."""
    mean, heads = settings_.get("pair_gradient") == "mean", settings_.get("heads", "own")
    running = settings_.get("batch_norm") == "running"
    naive, size = Naive(point, settings_.get("rule", "sgd")), len(point.tasks)
    values = torch.zeros(size, size, dtype=torch.float64)
    for i, j in itertools.product(range(size), range(size)):
        share = 0.5 if mean else 1.0
        head = {"fixed": 0.0, "own": 1.0, "all": share * (2 if i == j else 1)}[heads]
        own_head = 0.0 if heads == "fixed" else 1.0
        before = naive.loss([j], j, head=own_head, running=running)
        after = naive.loss([i, j], j, share=share, head=head, running=running)
        values[i, j] = 1 - after / before
    return values


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"heads": "fixed"},
        {"heads": "all"},
        {"heads": "all", "pair_gradient": "mean"},
        {"pair_gradient": "mean"},
        {"batch_norm": "batch"},
        {"batch_norm": "running"},
        {"rule": "momentum", "optimizer": "momentum"},
        {"rule": "momentum", "optimizer": "momentum", "heads": "all", "batch_norm": "running"},
        {"rule": "optimizer", "optimizer": "momentum"},
        {"rule": "optimizer", "optimizer": "adam"},
        {"rule": "optimizer", "optimizer": "adam", "heads": "all", "pair_gradient": "mean"},
    ],
    ids=str,
)
def test_gains_equal_those_of_deep_copies(options: dict[str, Any]) -> None:
    options = dict(options)
    point = noisy_point(optimizer=options.pop("optimizer", "adam"))
    expected = naive_gains(point, options)
    values = observed(LookaheadCollector(**options), point)
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("rule", ["sgd", "momentum"])
@pytest.mark.parametrize("unformed", [False, True])
def test_layers_that_read_only_the_inputs_may_answer_by_sums(
    unformed: bool, rule: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_virtual, "is_unformed_input_layer", lambda *_: unformed)
    monkeypatch.setattr(_stand_ins, "_FEWEST_INPUTS", 1)
    made = _assert_unchanged_with_stand_ins(noisy_point(optimizer="momentum"), rule, monkeypatch)
    assert [type(layer) for layer in made] == [_stand_ins.InputLayer]


def test_a_convolution_of_the_images_may_answer_by_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stand_ins, "_FEWEST_INPUTS", 1)
    made = _assert_unchanged_with_stand_ins(image_point(), "momentum", monkeypatch)
    assert [type(layer) for layer in made].count(_stand_ins.InputLayer) == 1


@pytest.mark.parametrize("rule", ["sgd", "momentum"])
@pytest.mark.parametrize(
    ("make_point", "kind"), [(noisy_point, nn.Linear), (image_point, nn.Conv2d)]
)
def test_layers_with_few_rows_may_answer_by_products_of_rows(
    make_point: Any, kind: Any, rule: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stand_ins, "_OUTPUTS_PER_ROW", 0)
    made = _assert_unchanged_with_stand_ins(make_point(optimizer="momentum"), rule, monkeypatch)
    assert {type(layer._module) for layer in made} == {kind}
    assert {type(layer) for layer in made} == {_stand_ins.FewRowsLayer}


def _assert_unchanged_with_stand_ins(
    point: Any, rule: Any, monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    expected = naive_gains(point, {"rule": rule})
    made: list[Any] = []
    remove = _stand_ins.StandIn.remove

    def noted(layer: Any) -> None:
        made.append(layer)
        remove(layer)

    monkeypatch.setattr(_stand_ins.StandIn, "remove", noted)
    before = fingerprint(point)
    values = observed(LookaheadCollector(rule=rule), point)
    assert fingerprint(point) == before
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-10)
    return made


def test_gains_of_the_tiny_model_are_those_computed_by_hand() -> None:
    expected = [
        [0.259093094, -0.864275148, -0.099940512],
        [-0.6345137, 0.927514793, 0.185603807],
        [-0.6345137, 0.927514793, 0.185603807],
    ]
    values = observed(LookaheadCollector(), fixture_point())
    torch.testing.assert_close(
        values, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-8
    )


@pytest.mark.parametrize(
    ("sources", "target", "expected"),
    [([0, 1], 2, 0.095181440), ([0, 2], 1, 0.597263314), ([1, 2], 0, -1.424130748)],
)
def test_group_gains_of_the_tiny_model_are_those_computed_by_hand(
    sources: list[int], target: int, expected: float
) -> None:
    assert group_gain(fixture_point(), sources, target) == pytest.approx(expected, abs=1e-8)


def test_the_diagonal_can_be_zero() -> None:
    values = observed(LookaheadCollector(diagonal="zero"), fixture_point())
    full = observed(LookaheadCollector(), fixture_point())
    assert values.diagonal().tolist() == [0.0, 0.0, 0.0]
    assert torch.equal(values - values.diag().diag(), full - full.diag().diag())


@pytest.mark.parametrize("gains", ["exact", "first_order", "auto"])
def test_no_step_gains_nothing(gains: Any) -> None:
    values = observed(LookaheadCollector(gains=gains), noisy_point(lr=0.0, optimizer="sgd"))
    assert (values == 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_gains_on_quadratics_have_their_closed_form(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    phi = torch.randn(3, generator=generator, dtype=torch.float64)
    centers = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    curvatures = torch.rand(3, generator=generator, dtype=torch.float64) + 0.5
    offsets = torch.rand(3, generator=generator, dtype=torch.float64) + 0.1
    lr = 0.07
    gradients = curvatures[:, None] * (phi - centers)
    moved = (1 - lr * curvatures)[:, None] * (phi - centers)  # [T, P] by target
    fall = lr * curvatures * (gradients @ moved.T)
    fall -= 0.5 * lr**2 * curvatures * (gradients**2).sum(1, keepdim=True)
    losses = 0.5 * curvatures * (moved**2).sum(1) + offsets
    point = quadratic_point(curvatures.tolist(), centers, offsets.tolist(), phi=phi, lr=lr)
    values = observed(LookaheadCollector(), point)
    torch.testing.assert_close(values, fall / losses, rtol=0, atol=1e-11)


def test_identical_tasks_gain_alike() -> None:
    tasks = [task(name, half_square) for name in ("a", "b")]
    backbone = ScalarBackbone(torch.tensor(0.7, dtype=torch.float64), [1.3, 1.3])
    model = HardSharing(backbone, tasks, seed=0).train()
    one = torch.ones(1, dtype=torch.float64)
    values = observed(
        LookaheadCollector(), point_of(model, Batch(one, {"a": one, "b": one}), lr=0.1)
    )
    torch.testing.assert_close(values, values[:1, :1].expand(2, 2), rtol=0, atol=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_a_task_in_full_conflict_never_helps(seed: int) -> None:
    torch.manual_seed(seed)
    phi, away = torch.randn(3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    centers = torch.stack([phi + away, phi - away])
    values = observed(
        LookaheadCollector(), quadratic_point([1.0, 1.0], centers, [0.1, 0.2], phi=phi, lr=0.1)
    )
    assert values[0, 1] <= 0
    assert values[1, 0] <= 0


def test_a_task_without_gradient_changes_nothing() -> None:
    phi = torch.tensor([1.0, 2.0], dtype=torch.float64)
    centers = torch.stack([phi, phi + 1])
    values = observed(
        LookaheadCollector(), quadratic_point([1.0, 1.0], centers, [0.5, 0.5], phi=phi, lr=0.1)
    )
    assert values[0].abs().max() < 1e-15


@pytest.mark.parametrize(
    "options", [{}, {"heads": "fixed"}, {"heads": "all"}, {"pair_gradient": "mean"}], ids=str
)
def test_first_order_gains_differ_by_the_square_of_the_step(options: dict[str, Any]) -> None:
    ratios = []
    for lr in (1e-3, 1e-4):
        point = replace(noisy_point(optimizer="sgd"), learning_rate=lr)
        exact = observed(LookaheadCollector(**options), point)
        first = observed(LookaheadCollector(gains="first_order", **options), point)
        ratios.append(float((exact - first).abs().max()) / lr**2)
        assert (exact - first).abs().max() < 0.05 * exact.abs().max()
    assert 0.5 < ratios[0] / ratios[1] < 2


def test_first_order_gains_of_the_whole_model_in_mean_pairs_are_right() -> None:
    point = replace(noisy_point(optimizer="sgd"), learning_rate=1e-5)
    options: dict[str, Any] = {"heads": "all", "pair_gradient": "mean"}
    exact = observed(LookaheadCollector(**options), point)
    first = observed(LookaheadCollector(gains="first_order", **options), point)
    torch.testing.assert_close(first, exact, rtol=0, atol=1e-3 * float(exact.abs().max()))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 0.1))
def test_a_group_gain_is_within_the_papers_bound_of_the_mean_of_pairs(seed: int, lr: float) -> None:
    # Eq. 6: |S[A -> j] - mean S[i -> j]| <= lr (1 + |A|) l^2 / C; l bounds the gradient norms on
    # the way, C the loss after the target's own step.
    generator = torch.Generator().manual_seed(seed)
    phi = torch.randn(3, generator=generator, dtype=torch.float64)
    centers = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    point = quadratic_point([1.0] * 4, centers, [0.1] * 4, phi=phi, lr=lr)
    values = observed(LookaheadCollector(), point)
    group = group_gain(point, [0, 1, 2], 3)
    gradients = (phi - centers).norm(dim=1)
    steepest = float(gradients.max() * 1.0 + lr * gradients.sum())
    own = 0.5 * (1 - lr) ** 2 * float(gradients[3] ** 2) + 0.1
    assert abs(group - float(values[:3, 3].mean())) <= lr * 4 * steepest**2 / own + 1e-12


def test_a_group_of_one_gains_as_a_pair() -> None:
    point = noisy_point(optimizer="sgd", dropout=0.0)
    values = observed(LookaheadCollector(), point)
    assert group_gain(point, [0], 2) == pytest.approx(float(values[0, 2]), abs=1e-14)


def test_a_group_gain_tends_to_the_sum_of_pairs() -> None:
    gaps = []
    for lr in (1e-3, 1e-4):
        point = replace(noisy_point(optimizer="sgd", dropout=0.0), learning_rate=lr)
        values = observed(LookaheadCollector(), point)
        gap = abs(group_gain(point, [0, 1], 2) - float(values[:2, 2].sum()))
        gaps.append(gap / lr**2)
    assert gaps[0] / gaps[1] == pytest.approx(1, rel=0.5)


def test_sampling_looks_at_the_pairs_of_each_drawn_subset() -> None:
    point = noisy_point(optimizer="sgd", num_tasks=4)
    collector = LookaheadCollector(sampling="uniform", seed=3)
    full = observed(LookaheadCollector(), replace(point))
    counts = torch.zeros(4, 4, dtype=torch.int64)
    sizes: Counter[int] = Counter()
    for _ in range(60):
        before = collector.state_dict()["counts"]
        collector.observe(point)
        seen = collector.state_dict()["counts"] - (before if before.numel() else counts)
        members = seen.diagonal().nonzero().flatten()
        sizes[len(members)] += 1
        expected = torch.zeros(4, 4, dtype=torch.int64)
        expected[members[:, None], members] = 1
        assert torch.equal(seen, expected)
    assert set(sizes) == {1, 2, 3, 4}
    assert max(sizes.values()) < 30
    assert observed(collector).shape == full.shape


def test_sampled_gains_are_those_of_all_pairs_when_layers_do_not_draw() -> None:
    point = noisy_point(optimizer="sgd", dropout=0.0)
    collector = LookaheadCollector(sampling="uniform")
    for _ in range(12):
        collector.observe(point)
    full = observed(LookaheadCollector(), point)
    torch.testing.assert_close(observed(collector), full, rtol=0, atol=1e-13)


def test_momentum_needs_an_optimizer_that_has_it() -> None:
    with pytest.raises(ValueError, match="rule=optimizer"):
        LookaheadCollector(rule="momentum").observe(noisy_point(optimizer="adam"))
