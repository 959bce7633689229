"""The mean of what was seen, its state and its noise."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mtlrun.affinities._collector import MeanCollector, Observation
from mtlrun.affinities.cosine import CosineCollector
from mtlrun.affinities.lookahead import LookaheadCollector
from mtlrun.affinities.tag import TAGCollector
from mtlrun.core.batch import Batch
from mtlrun.core.grouping import Affinity
from mtlrun.core.method import StepSettings, TrainingPoint
from tests.affinities.models import fixture_point, noisy_point, observed, point_of


def points(count: int) -> list[TrainingPoint]:
    point = noisy_point(optimizer="sgd", dropout=0.0)
    generator = torch.Generator().manual_seed(5)
    batches = [
        Batch(
            torch.randn(12, 4, generator=generator, dtype=torch.float64), dict(point.batch.targets)
        )
        for _ in range(count)
    ]
    return [replace(point, batch=batch) for batch in batches]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (LookaheadCollector, {"sampling": "uniform", "every": 2}),
        (TAGCollector, {}),
        (CosineCollector, {}),
    ],
)
def test_a_resumed_collection_ends_bit_for_bit_the_same(kind: Any, options: Any) -> None:
    straight, first, second = kind(**options), kind(**options), kind(**options)
    for k, point in enumerate(points(12)):
        straight.observe(point)
        if k == 5:
            buffer = io.BytesIO()
            torch.save(first.state_dict(), buffer)
            buffer.seek(0)
            second.load_state_dict(torch.load(buffer, weights_only=True))
        (first if k < 5 else second).observe(point)
    assert straight.affinity().to_json() == second.affinity().to_json()


class Elsewhere:
    """Stands for a tensor that was read onto an accelerator."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    def cpu(self) -> torch.Tensor:
        return self._tensor


@pytest.mark.parametrize("kind", [TAGCollector, LookaheadCollector, CosineCollector])
def test_a_state_that_was_read_onto_an_accelerator_comes_back(kind: Any) -> None:
    collector = kind()
    collector.observe(points(1)[0])
    state = {
        name: Elsewhere(value) if isinstance(value, torch.Tensor) else value
        for name, value in collector.state_dict().items()
    }
    before = collector.affinity().to_json()
    collector.load_state_dict(state)
    assert collector.affinity().to_json() == before


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [TAGCollector, LookaheadCollector, CosineCollector])
def test_a_collection_goes_on_after_its_state_was_read_onto_the_accelerator(kind: Any) -> None:
    collector = kind()
    collector.observe(points(1)[0])
    buffer = io.BytesIO()
    torch.save(collector.state_dict(), buffer)
    buffer.seek(0)
    collector.load_state_dict(torch.load(buffer, map_location="cuda", weights_only=True))
    collector.observe(points(1)[0])
    assert collector.affinity().num_observations == 2


def test_a_fresh_collector_takes_the_state_of_a_fresh_one() -> None:
    collector = TAGCollector()
    collector.load_state_dict(TAGCollector().state_dict())
    collector.observe(fixture_point())
    assert collector.affinity().num_observations == 1


def test_only_every_so_many_batches_are_looked_at() -> None:
    seen = points(7)
    lazy = TAGCollector(every=3)
    for point in seen:
        lazy.observe(point)
    expected = observed(TAGCollector(), seen[0], seen[3], seen[6])
    assert torch.equal(observed(lazy), expected)
    assert lazy.affinity().num_observations == 3


def test_an_affinity_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="one batch at least"):
        TAGCollector().affinity()


def test_the_period_should_be_positive() -> None:
    with pytest.raises(ValueError, match="every = 0"):
        CosineCollector(every=0)


@pytest.mark.parametrize("kind", [TAGCollector, LookaheadCollector])
@pytest.mark.parametrize("gains", ["exact", "first_order"])
def test_entries_without_a_positive_loss_are_left_out(kind: Any, gains: str) -> None:
    good = fixture_point()
    bad = replace(
        good,
        tasks=(replace(good.tasks[0], loss=lambda p, t: (p - t).sum()), *good.tasks[1:]),
    )
    collector = kind(gains=gains)
    collector.observe(bad)
    collector.observe(good)
    affinity = collector.affinity()
    once = kind(gains=gains)
    once.observe(good)
    np.testing.assert_array_equal(affinity.values[:, 0], once.affinity().values[:, 0])
    assert affinity.details["skipped_entries"] == 3
    assert affinity.num_observations == 2


def test_what_was_never_seen_is_zero_and_said() -> None:
    good = fixture_point()
    bad = replace(
        good,
        tasks=(replace(good.tasks[0], loss=lambda p, t: (p - t).sum()), *good.tasks[1:]),
    )
    collector = TAGCollector()
    collector.observe(bad)
    with pytest.warns(UserWarning, match="3 of 9 entries"):
        affinity = collector.affinity()
    assert affinity.values[:, 0].tolist() == [0.0, 0.0, 0.0]


def test_an_affinity_survives_json() -> None:
    collector = LookaheadCollector()
    collector.observe(fixture_point())
    affinity = collector.affinity()
    assert Affinity.from_json(affinity.to_json()).to_json() == affinity.to_json()


def single_precision(point: TrainingPoint) -> TrainingPoint:
    model = point.model.float()
    targets = {name: t.float() for name, t in point.batch.targets.items()}
    assert isinstance(point.batch.inputs, torch.Tensor)
    return point_of(model, Batch(point.batch.inputs.float(), targets), lr=point.learning_rate)


@pytest.mark.parametrize("kind", [TAGCollector, LookaheadCollector])
def test_the_noise_floor_is_the_error_of_single_precision(kind: Any) -> None:
    fine = [replace(point, learning_rate=1e-3) for point in points(12)]
    exact, floors, errors = [], [], []
    for point in fine:
        exact.append(observed(kind(), point))
    for point, value in zip(fine, exact, strict=True):
        rough = kind()
        rough.observe(single_precision(point))
        affinity = rough.affinity()
        assert affinity.noise_floor is not None
        floors.append(affinity.noise_floor)
        errors.append(torch.from_numpy(affinity.values) - value)
    measured = float(torch.stack(errors).square().mean().sqrt())
    estimated = float(torch.tensor(floors).square().mean().sqrt())
    assert 1e-8 < estimated < 1e-6
    assert 0.25 < estimated / measured < 4


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (TAGCollector, {}),
        (LookaheadCollector, {}),
        (TAGCollector, {"gains": "first_order"}),
        (LookaheadCollector, {"gains": "first_order"}),
        (CosineCollector, {}),
    ],
)
def test_the_noise_floor_has_the_size_of_the_error_of_half_precision(
    kind: Any, options: Any
) -> None:
    fine = [replace(point, learning_rate=1e-3) for point in points(12)]
    exact = [observed(kind(**options), point) for point in fine]
    floors, errors = [], []
    for point, value in zip(fine, exact, strict=True):
        rough = kind(**options)
        rough.observe(replace(single_precision(point), settings=StepSettings("bf16")))
        affinity = rough.affinity()
        assert affinity.noise_floor is not None
        floors.append(affinity.noise_floor)
        errors.append(torch.from_numpy(affinity.values) - value)
    measured = float(torch.stack(errors).square().mean().sqrt())
    estimated = float(torch.tensor(floors).square().mean().sqrt())
    assert 0.1 < estimated / measured < 10


def test_in_double_precision_the_noise_floor_is_tiny() -> None:
    collector = LookaheadCollector()
    collector.observe(points(1)[0])
    floor = collector.affinity().noise_floor
    assert floor is not None
    assert 1e-17 < floor < 1e-14


def test_the_noise_of_a_mean_falls_with_the_root_of_the_number_of_batches() -> None:
    point = points(1)[0]
    one, four = TAGCollector(), TAGCollector()
    one.observe(point)
    for _ in range(4):
        four.observe(point)
    floors = one.affinity().noise_floor, four.affinity().noise_floor
    assert floors[0] is not None
    assert floors[1] is not None
    assert floors[1] < floors[0]


class Told(MeanCollector):
    """Sees the pair of different tasks in every fourth batch only."""

    def __init__(self) -> None:
        super().__init__("told", every=1)

    def look(self, point: TrainingPoint) -> Observation:
        values = torch.zeros(2, 2, dtype=torch.float64)
        looked_at = torch.eye(2, dtype=torch.bool) | (self.collected % 4 == 0)
        return Observation(values, looked_at, noise=1.0)


def test_the_noise_of_a_mean_is_that_of_the_batches_that_it_is_the_mean_of() -> None:
    collector, point = Told(), noisy_point(num_tasks=2)
    for _ in range(36):
        collector.observe(point)
    assert collector.affinity().noise_floor == pytest.approx(1 / 3)


def test_auto_takes_first_order_gains_where_exact_ones_are_rounding() -> None:
    point = single_precision(points(1)[0])
    for lr, batches in ((1e-7, 1), (0.05, 0)):
        for kind in (TAGCollector, LookaheadCollector):
            automatic, other = kind(gains="auto"), kind(gains="first_order" if batches else "exact")
            automatic.observe(replace(point, learning_rate=lr))
            other.observe(replace(point, learning_rate=lr))
            affinity = automatic.affinity()
            assert affinity.details["first_order_batches"] == batches
            np.testing.assert_allclose(
                affinity.values, other.affinity().values, rtol=1e-4, atol=lr * 1e-4
            )


def affinity_of(value: float, floor: float | None, gains: str = "exact") -> Affinity:
    values = np.full((3, 3), value)
    np.fill_diagonal(values, 1.0)
    return Affinity(("a", "b", "c"), values, 1, "lookahead", floor, {"gains": gains})


def test_gains_below_the_floor_give_a_warning_that_says_what_to_do() -> None:
    line = affinity_of(1e-8, 1e-7).warning()
    assert line is not None
    assert "gains=first_order" in line
    assert "optimizer.lr" in line


def test_what_has_no_exact_gains_is_not_told_to_leave_them() -> None:
    for affinity in (
        affinity_of(1e-8, 1e-7, "first_order"),
        Affinity(("a", "b"), np.zeros((2, 2)), 1, "cosine", 1e-7),
    ):
        line = affinity.warning()
        assert line is not None
        assert "first_order" not in line
        assert "trainer.collect_epochs" in line


@pytest.mark.parametrize(("value", "floor"), [(1e-6, 1e-7), (-1e-6, 1e-7), (1e-8, None)])
def test_gains_above_the_floor_give_no_warning(value: float, floor: float | None) -> None:
    assert affinity_of(value, floor).warning() is None


def test_one_task_gives_no_warning() -> None:
    assert Affinity(("a",), np.zeros((1, 1)), 1, "tag", 1e-7).warning() is None


@pytest.mark.parametrize("kind", [TAGCollector, LookaheadCollector, CosineCollector])
def test_one_task_is_enough(kind: Any) -> None:
    collector = kind()
    collector.observe(noisy_point(num_tasks=1))
    assert collector.affinity().values.shape == (1, 1)
