"""The solver equals every choice of groups tried out, in exact fractions, on small instances."""

from itertools import product

import numpy as np
import pytest

from mtlrun.solvers import Problem, solve
from tests.solvers import brute_force

OBJECTIVES = ["gain", "best_group", "hoa"]
INSTANCES = 48  # of each test


FAMILIES = [
    lambda rng, n: rng.normal(size=(n, n)),
    lambda rng, n: rng.integers(-1, 2, size=(n, n)).astype(float),  # many ties
    lambda rng, n: np.zeros((n, n)),
    lambda rng, n: -rng.random((n, n)),
    lambda rng, n: -rng.integers(1, 4, size=(n, n)).astype(float),
    lambda rng, n: rng.random((n, n)) + 10 * np.eye(n),
    lambda rng, n: rng.normal(size=(n, n)) * 10.0 ** rng.integers(-9, 10),
    lambda rng, n: rng.integers(-3, 4, size=(n, n)) * 10.0 ** rng.integers(0, 10),
]


def instances(seed, count):
    """(generator, matrix, m), m near both ends of what exists."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        n = int(rng.choice([1, 2, 3, 4, 5], p=[0.05, 0.1, 0.3, 0.35, 0.2]))
        m = int(rng.integers(1, min(2**n - 1, 4 if n < 5 else 3) + 1))
        if n < 4 and rng.random() < 0.2:
            m = 2**n - int(rng.integers(1, 3)) or 1
        yield rng, FAMILIES[index % len(FAMILIES)](rng, n), m


def assert_equals_brute_force(matrix, m, objective, **limits):
    expected = brute_force.best(matrix.tolist(), m, objective, **limits)
    if expected is None:
        with pytest.raises(ValueError):
            solve(matrix, num_groups=m, objective=objective, **limits)
        return
    plan = solve(matrix, num_groups=m, objective=objective, **limits)
    groups = [tuple(int(task) for task in group.tasks) for group in plan.groups]
    value, best = expected
    assert plan.objective == pytest.approx(value, rel=1e-9, abs=1e-9 * np.abs(matrix).max())
    assert groups == best
    problem = Problem(matrix, m, objective, **limits)
    assert problem.violation(groups) is None
    assert problem.value(groups) == plan.objective == plan.bound


@pytest.mark.parametrize(("objective", "partition"), list(product(OBJECTIVES, [False, True])))
def test_equals_brute_force(objective, partition):
    for _, matrix, m in instances(1, INSTANCES):
        assert_equals_brute_force(matrix, m, objective, partition=partition)


@pytest.mark.parametrize(("objective", "partition"), list(product(OBJECTIVES, [False, True])))
def test_equals_brute_force_within_limits(objective, partition):
    for rng, matrix, m in instances(2, INSTANCES):
        n = len(matrix)
        limits = {"partition": partition, "min_size": int(rng.integers(1, 3))}
        if rng.random() < 0.6:
            limits["max_size"] = int(rng.integers(1, n + 1))
        kind = rng.integers(4) if m <= 4 else 3
        costs = rng.integers(-1, 4, size=(n, m)).tolist()
        if kind == 0:
            limits |= {"budgets": [row[0] for row in costs], "capacities": int(rng.integers(2, 7))}
        elif kind == 1:
            limits |= {"budgets": costs, "capacities": rng.integers(2, 7, size=m).tolist()}
        elif kind == 2:
            limits |= {
                "budgets": [row[0] for row in costs],
                "capacities": rng.integers(3, 6, size=m).tolist(),
            }
        assert_equals_brute_force(matrix, m, objective, **limits)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_equals_brute_force_with_pairs(objective):
    for rng, matrix, m in instances(3, INSTANCES):
        if len(matrix) > 2:
            a, b, c = rng.permutation(len(matrix))[:3].tolist()
            limits = {"together": [(a, b)]} if rng.random() < 0.5 else {"apart": [(a, b), (b, c)]}
            assert_equals_brute_force(matrix, m, objective, **limits)


def test_gain_equals_brute_force_with_limits_on_joins():
    for rng, matrix, m in instances(4, INSTANCES):
        least = int(rng.integers(1, 3))
        most = least + int(rng.integers(0, 2))
        assert_equals_brute_force(matrix, m, "gain", min_joins=least, max_joins=most)


@pytest.mark.parametrize("singleton_score", [0, "diagonal", 0.3])
@pytest.mark.filterwarnings("ignore:`singleton_score`")
def test_best_group_equals_brute_force_for_other_scores_of_a_task_alone(singleton_score):
    for _, matrix, m in instances(5, INSTANCES):
        assert_equals_brute_force(matrix, m, "best_group", singleton_score=singleton_score)


def test_gain_equals_brute_force_without_the_diagonal():
    for _, matrix, m in instances(6, INSTANCES):
        assert_equals_brute_force(matrix, m, "gain", diagonal="zero")


def test_gain_equals_brute_force_where_nearly_all_subsets_are_asked_for():
    for rng, matrix, _ in instances(7, INSTANCES):
        m = max(1, 2 ** len(matrix) - int(rng.integers(1, 4)))
        assert_equals_brute_force(matrix, m, "gain")


def test_all_subsets_are_the_groups_where_all_are_asked_for():
    for n in range(1, 6):
        plan = solve(np.eye(n), num_groups=2**n - 1)
        assert len({group.tasks for group in plan.groups}) == 2**n - 1
