"""Laws that hold for every instance, at sizes that no brute force reaches too."""

import numpy as np
import pytest

from mtlrun.solvers import solve

OBJECTIVES = ["gain", "best_group", "hoa"]
SEEDS = range(5)


def groups(plan):
    return {frozenset(int(task) for task in group.tasks) for group in plan.groups}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", SEEDS)
def test_relabelling_tasks_permutes_the_answer(objective, seed):
    rng = np.random.default_rng(seed)
    matrix, order = rng.normal(size=(7, 7)), rng.permutation(7)
    plan = solve(matrix, num_groups=3, objective=objective)
    moved = solve(matrix[np.ix_(order, order)], num_groups=3, objective=objective)
    assert moved.objective == pytest.approx(plan.objective, rel=1e-12)
    assert {frozenset(order[t] for t in group) for group in groups(moved)} == groups(plan)


@pytest.mark.parametrize("seed", SEEDS)
def test_more_groups_never_make_the_best_group_worse(seed):
    matrix = np.random.default_rng(seed).normal(size=(7, 7))
    best = [solve(matrix, num_groups=m, objective="best_group").objective for m in range(1, 9)]
    errors = [solve(matrix, num_groups=m, objective="hoa").objective for m in range(1, 9)]
    assert (np.diff(best) >= -1e-12).all()
    assert (np.diff(errors) <= 1e-12).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", SEEDS)
def test_looser_limits_never_make_the_value_worse(objective, seed):
    rng = np.random.default_rng(seed)
    matrix, costs = rng.normal(size=(7, 7)), rng.random(7)
    sign = -1 if objective == "hoa" else 1

    def value(**limits):
        return sign * solve(matrix, num_groups=3, objective=objective, **limits).objective

    tight = {"min_size": 2, "max_size": 4, "budgets": costs, "capacities": costs.sum() * 0.6}
    strict = value(partition=True, **tight)
    for looser in (
        tight,
        tight | {"min_size": 1},
        tight | {"max_size": 6},
        tight | {"capacities": np.inf},
        {"partition": True},
        {"apart": [(0, 1)]} | tight,
    ):
        floor = strict if "apart" not in looser else -np.inf
        assert floor - 1e-12 <= value(**looser) <= value() + 1e-12


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1e4, 1e9, 1e200])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_scale_moves_the_value_and_not_the_groups(objective, scale):
    for seed in SEEDS:
        matrix = np.random.default_rng(seed).normal(size=(6, 6))
        limits = {"num_groups": 3, "objective": objective, "min_size": 2}
        plain, scaled = solve(matrix, **limits), solve(matrix * scale, **limits)
        assert groups(scaled) == groups(plain)
        assert scaled.objective == pytest.approx(plain.objective * scale, rel=1e-9)


def test_small_affinities_are_not_lost_beside_a_task_that_must_be_alone():
    # Groups of at most 2 of 3 tasks: one is alone, and 1e-9 decides which.
    matrix = np.array([[0, 1, 2], [1, 0, 5], [2, 5, 0]]) * 1e-9
    plan = solve(matrix, num_groups=2, objective="best_group", max_size=2, partition=True)
    assert groups(plan) == {frozenset({0}), frozenset({1, 2})}
    assert plan.objective == pytest.approx(-1e6 / 3)


def test_gain_ignores_transposition():
    for seed in SEEDS:
        matrix = np.random.default_rng(seed).normal(size=(6, 6))
        plan, other = solve(matrix, num_groups=3), solve(matrix.T, num_groups=3)
        assert groups(plan) == groups(other)


def test_a_constant_adds_itself_times_the_sizes_to_gain():
    for seed in SEEDS:
        matrix = np.random.default_rng(seed).normal(size=(6, 6))
        plan = solve(matrix, num_groups=2, partition=True)
        shifted = solve(matrix + 3, num_groups=2, partition=True)
        assert shifted.objective == pytest.approx(plan.objective + 3 * 6, rel=1e-12)


def test_one_task_is_one_group():
    assert solve([[2.5]], num_groups=1).objective == 2.5
    assert solve([[2.5]], num_groups=1, objective="hoa").objective == 2.5
    assert solve([[2.5]], num_groups=1, objective="best_group").objective == -1e6


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_equal_groupings_are_decided_by_number_and_order(objective):
    plan = solve(np.zeros((4, 4)), num_groups=2, objective=objective)
    found = [group.tasks for group in plan.groups]
    if objective == "gain":  # exactly two
        assert found == [("0",), ("0", "1", "2", "3")]
    else:
        assert found == [("0", "1", "2", "3")]
