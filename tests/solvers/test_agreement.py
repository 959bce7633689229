"""The solvers agree with each other, with every choice tried out, and with CP-SAT."""

import numpy as np
import pytest
from ortools.sat.python import cp_model

from mtlrun.solvers import Problem
from mtlrun.solvers.branch_and_bound import search_in_order
from mtlrun.solvers.column_generation import solve_by_columns
from mtlrun.solvers.exact import TooLargeError, solve_exactly
from mtlrun.solvers.mip import solve_as_program
from tests.solvers import brute_force
from tests.solvers.test_brute_force import FAMILIES, instances

OBJECTIVES = ["gain", "best_group", "hoa"]
AMPLE = 600  # seconds, on the busiest machine
SOLVERS = {
    "columns": lambda problem: solve_by_columns(problem, AMPLE, list_all=0),
    "all columns": lambda problem: solve_by_columns(problem, AMPLE),
    "program": lambda problem: solve_as_program(problem, AMPLE),
    "search": lambda problem: search_in_order(problem, AMPLE),
}


def random_limits(rng, n, m, objective):
    """Sizes, budgets, pairs and joins, some of them."""
    limits = {"partition": bool(rng.random() < 0.4), "min_size": int(rng.choice([1, 1, 2, 3]))}
    if rng.random() < 0.4:
        limits["max_size"] = int(rng.integers(1, n + 1))
    costs = rng.integers(-1, 4, size=(n, m))
    budgets = [
        {"budgets": costs[:, 0], "capacities": np.array(rng.integers(2, 9))},
        {"budgets": costs, "capacities": rng.integers(2, 9, size=m)},
        {"budgets": costs[:, 0], "capacities": rng.integers(3, 6, size=m)},
    ]
    if rng.random() < 0.5:
        limits |= budgets[rng.integers(3)]
    if n > 2 and rng.random() < 0.3:
        a, b, c = rng.permutation(n)[:3].tolist()
        limits |= {"together": [(a, b)]} if rng.random() < 0.5 else {"apart": [(a, c)]}
    if objective == "gain" and not limits["partition"] and rng.random() < 0.2:
        least = int(rng.integers(1, 3))
        limits |= {"min_joins": least, "max_joins": least + int(rng.integers(0, 2))}
    return limits


def random_problems(seed, count, objective, *, most_tasks=7, most_groups=6):
    """Those whose limits do not contradict each other."""
    found = 0
    for number in range(seed * 10_000, seed * 10_000 + 100 * count):
        rng = np.random.default_rng(number)
        n = int(rng.integers(1, most_tasks + 1))
        m = int(rng.integers(1, min(2**n - 1, most_groups) + 1))
        matrix = FAMILIES[number % len(FAMILIES)](rng, n)
        try:
            yield Problem(matrix, m, objective, **random_limits(rng, n, m, objective))
        except ValueError:
            continue
        found += 1
        if found == count:
            return


def groups_of(plan):
    return [tuple(int(task) for task in group.tasks) for group in plan.groups]


def assert_as_good(plan, problem, value):
    scale = float(np.abs(problem.matrix).max()) or 1.0
    sign = -1 if problem.objective == "hoa" else 1
    assert plan.objective == pytest.approx(value, rel=1e-6, abs=1e-9 * scale)
    assert plan.status == "optimal"
    assert problem.violation(groups_of(plan)) is None
    assert problem.value(groups_of(plan)) == pytest.approx(plan.objective, rel=1e-12)
    assert sign * plan.bound >= sign * plan.objective
    assert sign * plan.bound >= sign * value - 1e-7 * abs(value) - 1e-10 * scale


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_equals_every_choice_tried_out(solver, objective):
    if solver == "search" and objective == "gain":
        pytest.skip("the search has no such objective")
    for rng, matrix, m in instances(11, 24):
        limits = {"partition": bool(rng.random() < 0.5), "min_size": int(rng.integers(1, 3))}
        expected = brute_force.best(matrix.tolist(), m, objective, **limits)
        if expected is None:
            with pytest.raises(ValueError):
                SOLVERS[solver](Problem(matrix, m, objective, **limits))
            continue
        problem = Problem(matrix, m, objective, **limits)
        assert_as_good(SOLVERS[solver](problem), problem, expected[0])


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("solver", "count"), [("columns", 100), ("all columns", 100), ("program", 25), ("search", 60)]
)
def test_equals_dynamic_programming_within_limits(solver, count, objective):
    if solver == "search" and objective == "gain":
        pytest.skip("the search has no such objective")
    groups = 3 if solver in ("search", "program") else 6
    for problem in random_problems(1, count, objective, most_groups=groups):
        try:
            expected = solve_exactly(problem)
        except ValueError:
            with pytest.raises(ValueError):
                SOLVERS[solver](problem)
            continue
        assert_as_good(SOLVERS[solver](problem), problem, expected.objective)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_columns_equal_dynamic_programming_on_hundreds(objective, seed):
    for problem in random_problems(seed, 100, objective, most_tasks=9):
        try:
            expected = solve_exactly(problem)
        except TooLargeError:
            continue
        except ValueError:
            with pytest.raises(ValueError):
                SOLVERS["columns"](problem)
            continue
        assert_as_good(SOLVERS["columns"](problem), problem, expected.objective)


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_columns_equal_dynamic_programming_of_eleven_tasks(objective, partition):
    for seed in range(3):
        matrix = np.random.default_rng(seed).normal(size=(11, 11))
        problem = Problem(matrix, 4, objective, partition=partition)
        expected = solve_exactly(problem)
        plan = SOLVERS["columns"](problem)
        assert_as_good(plan, problem, expected.objective)
        assert groups_of(plan) == groups_of(expected)


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 1e4, 1e9])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_scale_moves_the_value_and_not_the_groups(objective, scale):
    for seed in range(3):
        matrix = np.random.default_rng(seed).normal(size=(9, 9))
        plain = SOLVERS["columns"](Problem(matrix, 3, objective, min_size=2))
        scaled = SOLVERS["columns"](Problem(matrix * scale, 3, objective, min_size=2))
        assert groups_of(scaled) == groups_of(plain)
        assert scaled.objective == pytest.approx(plain.objective * scale, rel=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_all_subsets_are_the_groups_where_all_are_asked_for(objective):
    problem = Problem(np.random.default_rng(0).normal(size=(6, 6)), 63, objective)
    for solver in ("columns", "all columns"):
        plan = SOLVERS[solver](problem)
        if objective == "gain":
            assert len({group.tasks for group in plan.groups}) == 63
        assert_as_good(plan, problem, solve_exactly(problem).objective)


@pytest.mark.parametrize("seed", range(4))
def test_partition_equals_cp_sat(seed):
    # Integers, so that CP-SAT rounds nothing: sizes up to 4 divide 12.
    rng = np.random.default_rng(seed)
    matrix, n, m = rng.integers(-5, 6, size=(8, 8)), 8, 3
    model = cp_model.CpModel()
    columns = []
    for mask in range(1, 1 << n):
        group = [t for t in range(n) if mask >> t & 1]
        if len(group) <= 4:
            worth = int(matrix[np.ix_(group, group)].sum()) * 12 // len(group)
            columns.append((group, worth, model.new_bool_var("")))
    for t in range(n):
        model.add_exactly_one(x for group, _, x in columns if t in group)
    model.add(sum(x for _, _, x in columns) == m)
    model.maximize(sum(worth * x for _, worth, x in columns))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(model) == cp_model.OPTIMAL
    problem = Problem(matrix.astype(float), m, partition=True, max_size=4)
    assert SOLVERS["columns"](problem).objective == pytest.approx(solver.objective_value / 12)
