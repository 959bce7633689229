"""Many tasks: what holds where nothing can be tried out, and where the time ends first."""

import time

import numpy as np
import pytest

from mtlrun.solvers import Problem, solve
from mtlrun.solvers.column_generation import solve_by_columns

OBJECTIVES = ["gain", "best_group", "hoa"]


def groups_of(plan):
    return [tuple(int(task) for task in group.tasks) for group in plan.groups]


def assert_holds(plan, problem):
    sign = -1 if problem.objective == "hoa" else 1
    assert problem.violation(groups_of(plan)) is None
    assert problem.value(groups_of(plan)) == pytest.approx(plan.objective, rel=1e-12)
    assert np.isfinite(plan.bound)
    assert sign * plan.bound >= sign * plan.objective


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_relabelling_tasks_permutes_the_answer(objective, partition):
    rng = np.random.default_rng(3)
    matrix, order = rng.normal(size=(18, 18)), rng.permutation(18)
    limits = {"num_groups": 5, "objective": objective, "partition": partition}
    plan = solve(matrix, **limits)
    moved = solve(matrix[np.ix_(order, order)], **limits)
    assert plan.status == moved.status == "optimal"
    assert moved.objective == pytest.approx(plan.objective, rel=1e-9)
    back = {frozenset(order[t] for t in group) for group in groups_of(moved)}
    assert back == set(map(frozenset, groups_of(plan)))


@pytest.mark.parametrize("objective", ["best_group", "hoa"])
def test_more_groups_never_make_the_best_group_worse(objective):
    matrix = np.random.default_rng(4).normal(size=(15, 15))
    sign = -1 if objective == "hoa" else 1
    values = [
        sign * solve(matrix, num_groups=m, objective=objective).objective for m in range(1, 9)
    ]
    assert (np.diff(values) >= -1e-6).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_looser_limits_never_make_the_value_worse(objective):
    rng = np.random.default_rng(5)
    matrix, costs = rng.normal(size=(15, 15)), rng.random(15)
    sign = -1 if objective == "hoa" else 1
    tight = {"min_size": 2, "max_size": 5, "budgets": costs, "capacities": costs.sum() * 0.4}

    def value(**limits):
        return sign * solve(matrix, num_groups=5, objective=objective, **limits).objective

    strict, free = value(partition=True, **tight), value()
    for looser in (tight, tight | {"min_size": 1}, tight | {"capacities": np.inf}):
        middle = value(**looser)
        assert strict - 1e-6 <= middle <= free + 1e-6


def test_the_answer_is_the_same_every_time():
    matrix = np.random.default_rng(6).integers(-2, 3, size=(20, 20)).astype(float)
    plans = [solve(matrix, num_groups=6, partition=True) for _ in range(2)]
    assert plans[0] == plans[1]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_values_without_differences_are_solved_at_once(objective):
    for matrix in (np.zeros((40, 40)), np.ones((40, 40)), -np.ones((40, 40))):
        for partition in (False, True):
            plan = solve(matrix, num_groups=5, objective=objective, partition=partition)
            assert plan.status == "optimal"


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_second_gives_groups_and_a_bound_for_a_hundred_tasks(objective, partition):
    matrix = np.random.default_rng(7).normal(size=(100, 100))
    problem = Problem(matrix, 10, objective, partition=partition)
    start = time.process_time()
    plan = solve_by_columns(problem, 1.0)
    assert time.process_time() - start < 1.5  # of this process alone, however busy the machine
    assert_holds(plan, problem)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_short_time_gives_groups_within_all_limits(objective):
    rng = np.random.default_rng(8)
    costs, capacities = rng.integers(1, 5, size=(30, 4)), np.array([20, 25, 30, 35])
    problem = Problem(
        rng.normal(size=(30, 30)),
        4,
        objective,
        min_size=3,
        max_size=12,
        budgets=costs.astype(float),
        capacities=capacities.astype(float),
        together=[(0, 1), (1, 2)],
        apart=[(3, 4), (0, 5)],
    )
    assert_holds(solve_by_columns(problem, 0.5), problem)


def test_groups_that_hardly_exist_are_found():
    # Costs that fill all groups to the last: only an integer program finds such groups.
    costs = np.array([7, 5, 8, 6, 4, 9, 3, 10, 2, 6, 7, 5, 8, 4, 6, 10], dtype=float)
    problem = Problem(
        np.random.default_rng(9).normal(size=(16, 16)),
        5,
        partition=True,
        budgets=costs,
        capacities=np.array(costs.sum() / 5),
    )
    plan = solve_by_columns(problem, 20)
    assert_holds(plan, problem)
    assert plan.status == "optimal"


def test_no_groups_within_the_limits_is_an_error():
    costs = np.full(16, 2.0)
    problem = Problem(np.zeros((16, 16)), 5, budgets=costs, capacities=np.array(5.0))
    with pytest.raises(ValueError, match=r"16 tasks within the limits\. Found no such groups"):
        solve_by_columns(problem, 20)


def test_tasks_together_and_apart_at_once_are_an_error():
    problem = Problem(
        np.zeros((16, 16)), 3, together=[(0, 1), (1, 2)], apart=[(0, 2)], partition=True
    )
    with pytest.raises(ValueError, match=r"`apart`\. Found `0` and `2`"):
        solve_by_columns(problem, 20)
