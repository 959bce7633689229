"""The solvers for many tasks come to what dynamic programming over all subsets comes to."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from mtlrun.core.grouping import Plan
from mtlrun.solvers import Problem, solve

OBJECTIVES = ["gain", "best_group", "hoa"]
METHODS = [
    ("mip", "gain"),  # Eq. 9 is of this objective
    ("branch_and_bound", "best_group"),  # TAG's and HOA's search is of these
    ("branch_and_bound", "hoa"),
    *product(["column_generation", "auto"], OBJECTIVES),
]
FAMILIES = [
    lambda rng, n: rng.normal(size=(n, n)),
    lambda rng, n: rng.integers(-1, 2, size=(n, n)).astype(float),  # many ties
    lambda rng, n: np.zeros((n, n)),
    lambda rng, n: -rng.random((n, n)) - 0.1,
    lambda rng, n: rng.random((n, n)) + 10 * np.eye(n),
    lambda rng, n: rng.normal(size=(n, n)) * 10.0 ** rng.integers(-9, 10),
]


def _value(matrix: np.ndarray, **wanted: Any) -> Plan | None:
    try:
        return solve(matrix, **wanted)
    except ValueError:
        return None


def _limits(rng: np.random.Generator, n: int, m: int) -> dict[str, Any]:
    limits: dict[str, Any] = {"num_groups": m}
    if rng.random() < 0.4:
        limits["max_size"] = int(rng.integers(1, n + 1))
    if rng.random() < 0.3:
        limits["min_size"] = int(rng.integers(1, n + 1))
    if rng.random() < 0.3:
        limits |= {"budgets": rng.integers(1, 5, size=n).astype(float), "capacities": 8.0}
    return limits


@pytest.mark.parametrize(("objective", "partition"), list(product(OBJECTIVES, [False, True])))
def test_column_generation_equals_dynamic_programming(objective: str, partition: bool) -> None:
    rng = np.random.default_rng(7)
    for index in range(60):
        n = int(rng.integers(1, 8))
        m = int(rng.integers(1, min(5, 2**n - 1) + 1))
        matrix = FAMILIES[index % len(FAMILIES)](rng, n)
        limits = _limits(rng, n, m) | {"objective": objective, "partition": partition}
        exact = _value(matrix, solver="exact", **limits)
        columns = _value(matrix, solver="column_generation", **limits)
        assert (exact is None) == (columns is None), limits
        if exact is None or columns is None:
            continue
        scale = float(np.abs(matrix).max())
        assert columns.objective == pytest.approx(exact.objective, rel=1e-6, abs=1e-7 * scale)
        sign = -1 if objective == "hoa" else 1
        assert sign * (columns.bound - columns.objective) >= -1e-9 * scale  # type: ignore[operator]
        groups = [[int(t) for t in group.tasks] for group in columns.groups]
        wanted = {k: v for k, v in limits.items() if k != "num_groups"}
        assert Problem(matrix, m, **wanted).violation(groups) is None


@pytest.mark.parametrize(("method", "objective"), METHODS)
def test_every_method_equals_dynamic_programming(method: str, objective: str) -> None:
    rng = np.random.default_rng(11)
    for index in range(6):
        n, m = int(rng.integers(2, 6)), int(rng.integers(1, 4))
        matrix = FAMILIES[index % len(FAMILIES)](rng, n)
        wanted = {"num_groups": m, "objective": objective}
        exact, other = (_value(matrix, solver=name, **wanted) for name in ("exact", method))
        assert (exact is None) == (other is None)
        if exact is not None and other is not None:
            scale = float(np.abs(matrix).max())
            assert other.objective == pytest.approx(exact.objective, rel=1e-6, abs=1e-7 * scale)


@pytest.mark.parametrize("partition", [False, True])
def test_forty_tasks_are_solved_to_a_percent(partition: bool) -> None:
    matrix = np.random.default_rng(0).normal(size=(40, 40))
    np.fill_diagonal(matrix, 0)
    plan = solve(matrix, num_groups=10, partition=partition, time_limit=60)
    # On busy cores the last linear program may end by the clock: a small gap is then all that is left.
    assert plan.bound == pytest.approx(plan.objective, rel=1e-2)
    assert plan.bound >= plan.objective * (1 - 1e-9)


@pytest.mark.parametrize("time_limit", [0.05, 1.0])
@pytest.mark.parametrize("objective", ["gain", "best_group"])
def test_a_second_for_a_hundred_tasks_gives_groups_and_a_bound(
    objective: str, time_limit: float
) -> None:
    matrix = np.random.default_rng(1).normal(size=(100, 100))
    plan = solve(matrix, num_groups=10, objective=objective, time_limit=time_limit)
    assert np.isfinite(plan.bound)
    assert plan.bound >= plan.objective
    assert {task for group in plan.groups for task in group.tasks} == {str(t) for t in range(100)}


def test_relabelled_tasks_give_the_same_value() -> None:
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(18, 18))
    order = rng.permutation(18)
    values = [solve(m, num_groups=5).objective for m in (matrix, matrix[np.ix_(order, order)])]
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_more_groups_never_lower_best_group() -> None:
    matrix = np.random.default_rng(4).normal(size=(14, 14))
    values = [solve(matrix, num_groups=m, objective="best_group").objective for m in (1, 2, 3, 4)]
    assert values == sorted(values)  # type: ignore[type-var]
