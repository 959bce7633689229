"""What column generation proves, from whatever it begins with."""

import numpy as np
import pytest

from mtlrun.solvers import Problem, _begin, _proving
from mtlrun.solvers._begin import begin
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._descent import Descent
from mtlrun.solvers._items import Items
from mtlrun.solvers._master import Duals
from mtlrun.solvers._pricing import approach
from mtlrun.solvers._proving import prove
from mtlrun.solvers._run import Run
from mtlrun.solvers._subsets import all_groups
from mtlrun.solvers._tilted import tilted
from mtlrun.solvers.exact import solve_exactly
from tests.solvers.drawn import draw, expected, problem_of

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


def test_a_descent_tries_no_threshold_below_one_that_failed_with_cuts():
    descent = Descent(1.0, 0.0, Clock(100))
    descent.note(True, 10_000_000)
    assert descent.cuts
    failed = descent.extra
    descent.note(False, 10_000_000)
    proven, tried = 0.7, []
    for _ in range(4):
        tried.append(descent.extra)
        descent.note(True, 10_000_000)
        proven = min(proven, tried[-1])
        assert descent.proven == proven
    assert min(tried) > failed


def test_a_descent_begins_below_its_top():
    descent = Descent(0.2, 0.01, Clock(100))
    assert descent.worthwhile
    assert descent.extra == pytest.approx(0.14)
    assert descent.proven == 0.2


def test_no_threshold_is_below_the_least():
    descent = Descent(0.0101, 0.01, Clock(100))
    assert descent.extra == 0.01
    assert descent.worthwhile
    assert not Descent(0.01, 0.01, Clock(100)).worthwhile


def test_a_listing_that_failed_without_cuts_is_tried_again_with_them():
    descent = Descent(1.0, 0.0, Clock(100))
    descent.note(False, 1000)
    assert (descent.cuts > 0, descent.extra) == (True, pytest.approx(0.7))


def test_one_that_failed_with_cuts_is_followed_by_half_a_step():
    descent = Descent(1.0, 0.0, Clock(100), cuts=10)
    descent.note(False, 1000)
    assert descent.extra == pytest.approx(0.85)
    descent.note(True, 1000)
    assert 0.7 < descent.extra < 0.85


def test_time_that_is_left_is_used_though_making_cuts_takes_long(monkeypatch):
    """A quarter of what is left is less than cuts take."""
    now = 0.0
    monkeypatch.setattr(Clock, "left", property(lambda clock: 10 - now))
    descent = Descent(1.0, 0.0, Clock(10))
    for extra, seconds, nodes in ((0.7, 1.0, 3_000_000), (None, 3.5, 3_000_000)):
        assert extra in (None, descent.extra)
        now += seconds
        descent.note(True, nodes, 0.7 * seconds)
    assert descent.cuts
    assert 0 < descent.extra < 0.9 * descent.proven
    assert descent.share * 5.5 > 3.5


def converged(problem, list_all=0):
    """A run whose linear program is over all groups that a search finds."""
    run = Run(problem, Clock(60), list_all)
    begin(run)
    approach(run, Clock(60))
    return run


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_tilted_duals_have_the_bound_of_the_best_ones_with_an_extra(partition, seed):
    problem, best = problem_and_best("gain", partition, seed, m=3)
    run = converged(problem)
    run.tilt = run.duals.rewards + np.random.default_rng(seed).normal(size=len(run.items)) / 20
    if not partition:
        run.tilt = np.maximum(run.tilt, 0.0)
    whole = Run(problem, Clock(60), 0)
    begin(whole)
    every = all_groups(len(run.items))
    whole.learn(every[whole.items.fits(every).any(0)])
    for extra in (0.01, 0.1, 1.0):
        found = tilted(run, run.duals, extra)
        assert run.bound_at(found) == pytest.approx(run.bound_at(run.duals, extra), rel=1e-9)
        assert whole.bound_at(found) >= best - 1e-9 * abs(best)
    assert np.array_equal(found.rewards, run.tilt)  # where there is room for it


@pytest.mark.parametrize("factor", [-1e9, 0.0, 1e9])
def test_tilts_stay_between_the_two_rewards(factor):
    problem, _ = problem_and_best("gain", True, 0, m=3)
    run = converged(problem)
    run.tilt = run.duals.rewards + factor
    for extra in (-1.0, 0.0, 0.3):
        rewards = tilted(run, run.duals, extra).rewards
        low, high = np.sort([run.duals.rewards, run.tilt], axis=0)
        assert np.all((low <= rewards) & (rewards <= high))


def test_without_a_tilt_prices_alone_differ():
    problem, _ = problem_and_best("gain", False, 0)
    run = converged(problem)
    found = tilted(run, run.duals, 0.3)
    assert np.array_equal(found.rewards, run.duals.rewards)
    assert found.prices == pytest.approx(run.duals.prices + 0.3)


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("number", range(40))
def test_bounds_of_descents_hold_whatever_the_duals_and_the_tilt(number, partition, monkeypatch):
    matrix, m, limits = draw(number, "gain", partition)
    best = expected(number, "gain", partition)
    if best is None:
        return
    rng = np.random.default_rng(number)
    problem = problem_of(matrix, m, "gain", limits)
    run = Run(problem, Clock(60), 0)
    begin(run)
    size, once = len(run.items), run.shape.once
    limit = -np.inf if once else 0.0
    rewards = np.maximum(rng.normal(size=size), limit)
    prices = rng.normal(size=len(run.shape.counts))
    run.duals = run.center = Duals(np.inf, rewards, prices, np.zeros(0))
    run.tilt = np.maximum(rewards + rng.normal(size=size) * rng.choice([0.01, 0.1, 1.0]), limit)
    run.relaxed = True
    monkeypatch.setattr(_proving, "NEW", int(rng.choice([3, 2000])))
    for _ in range(3):
        _proving._descend(run, Clock(float(rng.choice([0.02, 0.5]))))
    value = float(best[0]) * run.family.divisor / run.family.unit
    assert run.found.bound >= value - 1e-7 * max(abs(value), 1.0)


def test_a_linear_program_that_was_cut_short_is_gone_on_with():
    problem, _ = problem_and_best("gain", False, 8, n=12, m=3)
    whole = converged(problem)
    run = Run(problem, Clock(60), 0)
    begin(run)
    duals = run.duals = run.master.solve(Clock(60))
    run.center = Duals(run.bound_at(duals), duals.rewards, duals.prices, duals.weights)
    prove(run)
    assert run.found.bound <= whole.bound_at(whole.duals, whole.least_gain) + 1e-9


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
