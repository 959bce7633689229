"""What column generation proves, from whatever it begins with."""

import numpy as np
import pytest

from mtlrun.solvers import Problem, _begin
from mtlrun.solvers._begin import begin
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._descent import Descent
from mtlrun.solvers._items import Items
from mtlrun.solvers._master import Duals
from mtlrun.solvers._pricing import approach
from mtlrun.solvers._proving import prove
from mtlrun.solvers._run import Run
from mtlrun.solvers._subsets import all_groups
from mtlrun.solvers.exact import solve_exactly

KINDS = [("gain", False), ("gain", True), ("best_group", True), ("hoa", True)]


def problem_and_best(objective, partition, seed, n=9, m=4):
    """A problem and its value in the units of a run, larger is better."""
    matrix = np.random.default_rng(seed).normal(size=(n, n))
    if objective == "hoa":
        matrix = abs(matrix)
    problem = Problem(matrix=matrix, num_groups=m, objective=objective, partition=partition)
    family = Run(problem, Clock(60), 0).family
    value = (-1 if objective == "hoa" else 1) * solve_exactly(problem).objective
    return problem, value * family.divisor / family.unit


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("objective", "partition"), KINDS)
def test_bounds_hold_from_a_poor_start_with_better_duals(objective, partition, seed, monkeypatch):
    problem, best = problem_and_best(objective, partition, seed)
    whole = Run(problem, Clock(60), 0)
    begin(whole)
    approach(whole, Clock(60))
    rng = np.random.default_rng(seed)
    run = Run(problem, Clock(60), 0)
    monkeypatch.setattr(_begin, "improve", lambda family, shape, groups, kinds, clock: groups)
    begin(run)
    monkeypatch.undo()
    run.duals = run.master.solve(Clock(60))
    every = all_groups(len(run.items))
    run.learn(every[rng.random(len(every)) < 0.1])
    duals = whole.duals
    run.center = Duals(run.bound_at(duals), duals.rewards, duals.prices, duals.weights)
    prove(run)
    assert run.found.value <= best + 1e-9
    assert run.found.bound >= best - 1e-6 * abs(best)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("objective", "partition"), KINDS)
def test_bounds_at_the_centers_duals_hold_once_all_groups_are_known(objective, partition, seed):
    problem, best = problem_and_best(objective, partition, seed, m=6)
    run = Run(problem, Clock(60), 0)
    begin(run)
    approach(run, Clock(60))
    every = all_groups(len(run.items))
    run.learn(every[run.items.fits(every).any(0)])
    assert run.bound_at(run.center) >= best - 1e-9 * abs(best)


def test_a_descent_tries_no_threshold_below_one_that_failed():
    descent = Descent(1.0, 0.0, Clock(100))
    tried = []
    for complete in (False, True, True, False, True):
        tried.append((descent.extra, complete))
        descent.note(complete, 1000)
    failed = max(extra for extra, complete in tried if not complete)
    after = [extra for extra, _ in tried[[e for e, _ in tried].index(failed) + 1 :]]
    assert min(after) > failed
    assert descent.proven == min(extra for extra, complete in tried if complete)


def test_a_descent_begins_where_listings_are_useful():
    descent = Descent(1.0, 0.01, Clock(100), useful=0.2)
    assert descent.worthwhile
    assert descent.extra == pytest.approx(0.15)
    assert descent.proven == 1.0
    assert Descent(1.0, 0.01, Clock(100), useful=0.001).extra == 0.01


def test_common_limits_are_the_loosest_of_all_slots():
    budgets = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    problem = Problem(
        matrix=np.eye(3),
        num_groups=2,
        objective="gain",
        max_size=2,
        budgets=budgets,
        capacities=np.array([3.0, 5.0]),
    )
    rows, most = Items.of(problem).common_limits()
    found = {tuple(row): limit for row, limit in zip(rows.tolist(), most.tolist(), strict=True)}
    assert found[(1.0, 1.0, 1.0)] == 2.0
    assert found[(1.0, 2.0, 3.0)] == pytest.approx(5.0)
    own = np.column_stack([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    other = Problem(
        matrix=np.eye(3), num_groups=2, objective="gain", budgets=own, capacities=np.full(2, 5.0)
    )
    assert len(Items.of(other).common_limits()[0]) == 1  # the least size
