"""Every solver equals every choice of groups tried out, in exact fractions, within all limits at once."""

from itertools import product

import numpy as np
import pytest

from tests.solvers.drawn import (
    MATRICES,
    OBJECTIVES,
    assert_sound,
    draw,
    expected,
    groups_of,
    solve,
    solvers_of,
)

CASES = [
    (name, objective, partition)
    for objective, partition in product(OBJECTIVES, [False, True])
    for name in solvers_of(objective)
]
FAST = {"mip": 10, "columns": 30, "search": 30}  # others: 40
# Affinities near 1e-7, which a tolerance relative to the -1e6 of a task alone would hide
SMALL = [(18, "best_group", False), (168, "best_group", True), (297, "best_group", True)]
pytestmark = pytest.mark.filterwarnings("ignore:`singleton_score`", "ignore:`diagonal`")


def assert_equals(name, objective, partition, numbers):
    solved = 0
    for number in numbers:
        matrix, m, limits = draw(number, objective, partition)
        best = expected(number, objective, partition)
        if best is None:
            with pytest.raises(ValueError):
                solve(name, matrix, m, objective, limits)
            continue
        plan = solve(name, matrix, m, objective, limits)
        value, groups = best
        scale = float(np.abs(matrix).max())
        exact = name in ("exact", "auto")
        assert plan.objective == pytest.approx(value, rel=1e-9 if exact else 1e-6, abs=1e-9 * scale)
        assert plan.status == "optimal"
        assert_sound(plan, matrix, m, objective, limits)
        if exact:  # ties are decided alike
            assert groups_of(plan) == groups
        solved += 1
    assert solved > len(numbers) / 4


@pytest.mark.parametrize(("name", "objective", "partition"), CASES)
def test_equals_every_choice(name, objective, partition):
    assert_equals(name, objective, partition, range(FAST.get(name, 40)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "objective", "partition"), CASES)
def test_equals_every_choice_on_hundreds(name, objective, partition):
    assert_equals(name, objective, partition, range(100, 400 if name != "mip" else 300))


@pytest.mark.parametrize(("number", "objective", "partition"), SMALL)
def test_the_search_tells_small_affinities_apart(number, objective, partition):
    assert_equals("search", objective, partition, [number])


def test_hundreds_are_of_all_kinds():
    for objective, partition in product(OBJECTIVES, [False, True]):
        drawn = [draw(number, objective, partition) for number in range(100, 400)]
        kinds = {key for _, _, limits in drawn for key in limits}
        assert {"min_size", "max_size", "budgets", "capacities", "together", "apart"} <= kinds
        assert {np.ndim(limits["budgets"]) for _, _, limits in drawn if "budgets" in limits} == {
            1,
            2,
        }
        assert {len(matrix) for matrix, _, _ in drawn} == {1, 2, 3, 4, 5}
        assert any(m == 2 ** len(matrix) - 1 > 1 for matrix, m, _ in drawn)
        assert len(drawn) >= 10 * len(MATRICES)
