"""The semidefinite bound against the best groups, whatever the limits and the time."""

import numpy as np
import pytest

from mtlrun.solvers import Problem
from mtlrun.solvers._begin import begin
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._proving import relaxation
from mtlrun.solvers._run import Run
from mtlrun.solvers.column_generation import solve_by_columns
from tests.solvers.drawn import draw, expected, problem_of


def bound_of(problem, rewards=0.0, seconds=20.0, disjoint=None):
    run = Run(problem, Clock(60), 0)
    begin(run)
    disjoint = run.shape.once if disjoint is None else disjoint
    found = relaxation(run, disjoint=disjoint).bound(
        np.full(len(run.items), rewards), Clock(seconds)
    )
    return found * run.family.unit / run.family.divisor


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("number", range(30))
def test_no_choice_is_worth_more(number, partition):
    matrix, m, limits = draw(number, "gain", partition)
    best = expected(number, "gain", partition)
    if best is None:
        with pytest.raises(ValueError, match=r"Loosen one of the limits|Set solver"):
            bound_of(problem_of(matrix, m, "gain", limits))
        return
    problem = problem_of(matrix, m, "gain", limits)
    least = float(best[0]) - 1e-9 * float(np.abs(problem.matrix).max())
    for rewards, seconds in ((0.0, 20.0), (-0.7, 1.01), (1e6, 20.0), (2.0, 0.0)):
        assert bound_of(problem, rewards, seconds) >= least
    if partition:
        assert bound_of(problem, disjoint=False) >= least


def test_hidden_groups_are_proven():
    rng = np.random.default_rng(0)
    hidden = np.arange(24) % 4
    matrix = np.where(hidden[:, None] == hidden, 1.0, -0.5) + 0.1 * rng.normal(size=(24, 24))
    problem = Problem(matrix=matrix, num_groups=4, objective="gain", partition=True)
    plan = solve_by_columns(problem, 60.0)
    assert plan.status == "optimal"
    assert bound_of(problem) == pytest.approx(plan.objective, rel=2e-3)


@pytest.mark.parametrize("partition", [False, True])
def test_it_is_far_below_the_largest_eigenvalue(partition):
    matrix = np.random.default_rng(1).normal(size=(30, 30))
    problem = Problem(matrix=matrix, num_groups=5, objective="gain", partition=partition)
    value = solve_by_columns(problem, 60.0).objective
    plain = 5 * np.linalg.eigvalsh((matrix + matrix.T) / 2)[-1]
    assert value <= bound_of(problem) <= value + 0.3 * (plain - value)


def test_limits_of_all_groups_lower_it():
    matrix = np.random.default_rng(2).normal(size=(20, 20))
    loose = Problem(matrix=matrix, num_groups=4, objective="gain")
    tight = Problem(matrix=matrix, num_groups=4, objective="gain", max_size=6)
    apart = Problem(matrix=matrix, num_groups=4, objective="gain", apart=((0, 1), (2, 3), (4, 5)))
    assert bound_of(tight) < bound_of(loose) - 0.1
    assert bound_of(apart) <= bound_of(loose) + 1e-3
