"""The search published with TAG: its order, its ties, and nothing lost by leaving branches out."""

import numpy as np
import pytest

from mtlrun.core.grouping import Affinity
from mtlrun.solvers import Problem, solve
from mtlrun.solvers.branch_and_bound import BranchAndBound, search_in_order
from tests.solvers import published

AMPLE = 600  # seconds, on the busiest machine


def in_order(n):
    """All groups as the notebooks meet them: depth first, a task alone after what begins with it."""

    def grow(group):
        for t in range(group[-1] + 1, n):
            yield [*group, t]
            yield from grow([*group, t])

    for t in range(n):
        yield from grow([t])
        yield [t]


def first_best(problem):
    """The notebooks' search, without their recursion over names."""
    n = len(problem.matrix)
    groups = list(in_order(n))
    best = [-np.inf, None]

    def visit(begin, taken):
        if set().union(*taken) == set(range(n)):
            value = problem.value(taken) * (-1 if problem.objective == "hoa" else 1)
            if value > best[0] + 1e-12:
                best[:] = value, taken
        if len(taken) < problem.num_groups:
            for k in range(begin, len(groups)):
                visit(k + 1, [*taken, groups[k]])

    visit(0, [])
    return best[1]


def groups_of(plan):
    return [[int(task) for task in group.tasks] for group in plan.groups]


@pytest.mark.parametrize("objective", ["best_group", "hoa"])
def test_finds_the_groups_that_the_notebooks_meet_first(objective):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        matrix = rng.integers(-1, 2, size=(4, 4)).astype(float)  # many ties
        problem = Problem(matrix, int(rng.integers(1, 4)), objective)
        assert groups_of(search_in_order(problem, AMPLE)) == first_best(problem)


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("objective", ["best_group", "hoa"])
def test_leaving_branches_out_changes_nothing(objective, partition):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        matrix = rng.normal(size=(5, 5)) if seed % 2 else rng.integers(-1, 2, (5, 5)).astype(float)
        problem = Problem(matrix, 3, objective, partition=partition)
        assert search_in_order(problem, AMPLE) == search_in_order(problem, AMPLE, prune=False)


@pytest.mark.parametrize(("name", "m"), [("TAG_TASKONOMY", 4), ("TAG_CELEBA", 2)])
def test_the_value_is_that_of_dynamic_programming(name, m):
    matrix = getattr(published, name)
    plan = solve(matrix, num_groups=m, objective="best_group", solver="branch_and_bound")
    exact = solve(matrix, num_groups=m, objective="best_group", solver="exact")
    assert plan.objective == pytest.approx(exact.objective, rel=1e-12)


def test_a_group_too_many_is_kept_where_the_notebooks_keep_it():
    # {0,1} {1,2} {3,4} is as good, but {0,1} {0,1,2} {1,2} {3,4} is met before it.
    plan = solve(
        published.TAG_TASKONOMY, num_groups=4, objective="best_group", solver="branch_and_bound"
    )
    assert groups_of(plan) == [[0, 1], [0, 1, 2], [1, 2], [3, 4]]


def test_a_short_time_gives_a_bound():
    problem = Problem(np.random.default_rng(0).normal(size=(9, 9)), 5, "best_group")
    plan = search_in_order(problem, 0.2)
    best = solve(problem.matrix, num_groups=5, objective="best_group")
    assert plan.status == "feasible"
    assert plan.objective <= best.objective <= plan.bound


def test_says_what_it_is_not_for():
    affinity = Affinity(tuple("abc"), np.zeros((3, 3)), 1, "tag")
    with pytest.raises(ValueError, match=r"Set solver\.objective, or solver=auto"):
        BranchAndBound(num_groups=2).solve(affinity, objective="gain")
    with pytest.raises(ValueError, match=r"at most 12 tasks\. Found 13"):
        solve(np.zeros((13, 13)), num_groups=2, objective="hoa", solver="branch_and_bound")
