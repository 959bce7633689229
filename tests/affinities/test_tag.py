import itertools
from dataclasses import replace

import pytest
import torch

from mtlrun.affinities.tag import TAGCollector
from tests.affinities.models import Naive, fixture_point, noisy_point, observed, quadratic_point


def test_gains_of_the_tiny_model_are_those_computed_by_hand() -> None:
    expected = [[0.19, -0.44, -0.1025], [-0.44, 0.64, 0.19], [-0.44, 0.64, 0.19]]
    values = observed(TAGCollector(), fixture_point())
    torch.testing.assert_close(
        values, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("seed", range(5))
def test_gains_on_quadratics_have_their_closed_form(seed: int) -> None:
    torch.manual_seed(seed)
    num_tasks, lr = 4, 0.05
    phi = torch.randn(3, dtype=torch.float64)
    centers = torch.randn(num_tasks, 3, dtype=torch.float64)
    curvatures = torch.rand(num_tasks, dtype=torch.float64) + 0.5
    offsets = torch.rand(num_tasks, dtype=torch.float64) + 0.1
    gradients = curvatures[:, None] * (phi - centers)
    losses = 0.5 * curvatures * ((phi - centers) ** 2).sum(1) + offsets
    fall = lr * gradients @ gradients.T
    fall -= 0.5 * lr**2 * curvatures * (gradients**2).sum(1, keepdim=True)
    point = quadratic_point(curvatures.tolist(), centers, offsets.tolist(), phi=phi, lr=lr)
    torch.testing.assert_close(observed(TAGCollector(), point), fall / losses, rtol=0, atol=1e-12)


@pytest.mark.parametrize("divide_by_lr", [False, True])
@pytest.mark.parametrize("gains", ["exact", "first_order", "auto"])
def test_no_step_gains_nothing(gains: str, divide_by_lr: bool) -> None:
    point = noisy_point(lr=0.0, optimizer="sgd")
    collector = TAGCollector(gains=gains, divide_by_lr=divide_by_lr)  # type: ignore[arg-type]
    assert observed(collector, point).abs().max() < 1e-13


@pytest.mark.parametrize(
    ("rule", "batch_norm", "optimizer"),
    [
        ("sgd", "batch_frozen", "sgd"),
        ("sgd", "batch", "adam"),
        ("sgd", "running", "adam"),
        ("momentum", "batch_frozen", "momentum"),
        ("optimizer", "batch_frozen", "momentum"),
        ("optimizer", "batch_frozen", "adam"),
    ],
)
def test_gains_equal_those_of_deep_copies(rule: str, batch_norm: str, optimizer: str) -> None:
    point = noisy_point(optimizer=optimizer)
    running = batch_norm == "running"
    naive = Naive(point, rule)
    tasks = range(len(point.tasks))
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for i, j in itertools.product(tasks, tasks):
        before = naive.loss([i], j, step=0.0, running=True) if running else naive.losses[j]
        expected[i, j] = 1 - naive.loss([i], j, head=0.0, running=running) / before
    values = observed(TAGCollector(rule=rule, batch_norm=batch_norm), point)  # type: ignore[arg-type]
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-10)


def test_first_order_gains_differ_by_the_square_of_the_step() -> None:
    ratios = []
    for lr in (1e-3, 1e-4):
        point = replace(noisy_point(optimizer="sgd"), learning_rate=lr)
        exact = observed(TAGCollector(), point)
        first = observed(TAGCollector(gains="first_order"), point)
        ratios.append(float((exact - first).abs().max()) / lr**2)
        assert (exact - first).abs().max() < 0.05 * exact.abs().max()
    assert 0.5 < ratios[0] / ratios[1] < 2


def test_division_by_the_learning_rate_divides() -> None:
    plain = observed(TAGCollector(), fixture_point())
    divided = observed(TAGCollector(divide_by_lr=True), fixture_point())
    torch.testing.assert_close(divided * 0.1, plain, rtol=1e-12, atol=0)


def test_a_row_is_a_source() -> None:
    collector = TAGCollector()
    collector.observe(fixture_point())
    affinity = collector.affinity()
    assert affinity.tasks == ("a", "b", "c")
    assert affinity.values[0, 2] == pytest.approx(-0.1025)
    assert affinity.values[2, 0] == pytest.approx(-0.44)


def test_first_order_gains_need_plain_steps() -> None:
    with pytest.raises(ValueError, match="rule=sgd"):
        TAGCollector(gains="first_order", rule="optimizer")


def test_a_setting_without_effect_is_named() -> None:
    with pytest.warns(UserWarning, match="`batch_norm=running` has no effect"):
        TAGCollector(gains="first_order", batch_norm="running")
