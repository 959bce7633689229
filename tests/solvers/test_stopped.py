"""A clock that stops a solver anywhere leaves allowed groups and a bound that holds."""

from itertools import product

import numpy as np
import pytest

from mtlrun.solvers import Problem, _clock
from mtlrun.solvers.column_generation import solve_by_columns
from tests.solvers.drawn import MATRICES, OBJECTIVES, assert_sound, draw, solve, solvers_of

# Looks at the clock before the time is up
LOOKS = (0, 1, 3, 7, 15, 30, 60, 120, 250, 500, 1000)
ENOUGH = 20  # for any groups at all, by columns
CASES = [
    (name, objective)
    for objective in OBJECTIVES
    for name in solvers_of(objective)
    if name not in ("exact", "auto")
]
pytestmark = pytest.mark.filterwarnings("ignore:`singleton_score`", "ignore:`diagonal`")


class Ticking:
    """Time that goes on by a second whenever it is looked at, and not otherwise."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        self.now += 1.0
        return self.now


def assert_holds_wherever_stopped(name, objective, partition, number, monkeypatch):
    small = {"most_tasks": 4, "most_groups": 3} if name == "mip" else {}
    matrix, m, limits = draw(number, objective, partition, **({"most_tasks": 6} | small))
    try:
        best = solve("exact", matrix, m, objective, limits)
    except ValueError:
        best = None
    sign = -1 if objective == "hoa" else 1
    tolerance = 1e-9 * float(np.abs(matrix).max())
    for looks in LOOKS:
        monkeypatch.setattr(_clock, "time", Ticking())
        try:
            plan = solve(name, matrix, m, objective, limits, looks + 0.5)
        except ValueError as error:
            late = "in the time" in str(error) or "time was too short" in str(error)
            assert best is None or late
            assert best is None or "columns" not in name or looks < ENOUGH
            continue
        assert best is not None
        assert_sound(plan, matrix, m, objective, limits)
        assert sign * plan.objective <= sign * best.objective + 1e-9 * abs(best.objective)
        assert sign * plan.bound >= sign * best.objective - 1e-7 * abs(best.objective) - tolerance
        if plan.status == "optimal":
            assert plan.objective == pytest.approx(best.objective, rel=1e-6, abs=tolerance)


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_bounds_hold_wherever_a_solver_is_stopped(name, objective, monkeypatch):
    for number in range(4):
        assert_holds_wherever_stopped(name, objective, number % 2 == 0, number, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize(("name", "objective"), CASES)
def test_bounds_hold_wherever_a_solver_is_stopped_on_many(name, objective, partition, monkeypatch):
    for number in range(100, 115 if name == "mip" else 140):
        assert_holds_wherever_stopped(name, objective, partition, number, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "partition"), list(product(OBJECTIVES, [False, True])))
def test_bounds_hold_wherever_columns_are_stopped_with_more_tasks(
    objective, partition, monkeypatch
):
    for number, matrix_of in enumerate((MATRICES["normal"], MATRICES["ties"])):
        matrix = matrix_of(np.random.default_rng(number), 14)
        limits = {"partition": partition, "min_size": 2, "max_size": 7}
        sign = -1 if objective == "hoa" else 1
        problem = Problem(matrix, 4, objective, **limits)
        plans = []
        for looks in (*LOOKS, 100_000):
            monkeypatch.setattr(_clock, "time", Ticking())
            plans.append(solve_by_columns(problem, looks + 0.5))
            assert_sound(plans[-1], matrix, 4, objective, limits)
        assert plans[-1].status == "optimal"
        best = plans[-1].objective
        for plan in plans:
            assert sign * plan.bound >= sign * best - 1e-6 * abs(best)
            assert sign * plan.objective <= sign * best + 1e-6 * abs(best)
