"""The bound by sizes against the best groups, and against the bound by the largest entries."""

import numpy as np
import pytest

from mtlrun.solvers import Problem
from mtlrun.solvers._begin import best_scores
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._items import Items
from mtlrun.solvers._run import Run
from mtlrun.solvers._size_bound import size_bound
from mtlrun.solvers._subsets import scores
from mtlrun.solvers.column_generation import solve_by_columns
from tests.solvers.drawn import draw, expected, problem_of


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("objective", ["best_group", "hoa"])
@pytest.mark.parametrize("number", range(20))
def test_no_groups_give_more(number, objective, partition):
    matrix, m, limits = draw(number, objective, partition)
    if expected(number, objective, partition) is None:
        with pytest.raises(ValueError, match=r"Loosen one of the limits|Set solver"):
            solve_by_columns(problem_of(matrix, m, objective, limits), 60.0)
        return
    problem = problem_of(matrix, m, objective, limits)
    run = Run(problem, Clock(60), 12)
    plan = solve_by_columns(problem, 60.0)
    groups = np.zeros((len(plan.groups), len(matrix)), dtype=bool)
    for k, group in enumerate(plan.groups):
        groups[k, [int(task) for task in group.tasks]] = True
    value = scores(problem, groups).max(0).sum()
    for seconds in (20.0, 0.0):
        assert size_bound(run.items, m, Clock(seconds)) >= value - 1e-9


@pytest.mark.parametrize("objective", ["best_group", "hoa"])
def test_it_is_below_what_the_largest_entries_give(objective):
    matrix = np.random.default_rng(0).normal(size=(40, 40))
    problem = Problem(matrix=matrix, num_groups=6, objective=objective)
    run = Run(problem, Clock(60), 12)
    assert size_bound(run.items, 6, Clock(10)) < 0.8 * best_scores(run).sum()


def test_pairs_are_proven_best():
    matrix = np.full((12, 12), -1.0)
    for a in range(0, 12, 2):
        matrix[a, a + 1] = matrix[a + 1, a] = 1.0 + a
    problem = Problem(matrix=matrix, num_groups=6, objective="best_group")
    items = Items.of(problem)
    assert size_bound(items, 6, Clock(10)) == pytest.approx(matrix.max(0).sum() / 11.0)
    assert size_bound(items, 5, Clock(10)) < matrix.max(0).sum() / 11.0 - 0.1
