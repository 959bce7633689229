"""The selections that the published matrices imply; numbers by an independent brute force."""

import pytest

from mtlrun.core.grouping import Affinity
from mtlrun.solvers import Problem, solve
from mtlrun.solvers.exact import Exact
from tests.solvers import published

BEST_GROUP = [  # matrix, m, value, groups as printed: one digit a task, from 1
    ("TAG_CELEBA", 2, -99.4419, "17 23456789"),
    ("TAG_CELEBA", 3, -92.4384, "17 2356789 24"),
    ("CS_CELEBA", 2, 0.966222, "12345789 56"),
    ("CS_CELEBA", 3, 1.309526, "17 23489 56"),
    ("TAG_TASKONOMY", 2, 0.321695, "123 45"),
    ("TAG_TASKONOMY", 3, 0.348670, "12 23 45"),
    ("TAG_TASKONOMY", 4, 0.348670, "12 23 45"),
    ("TAG_TASKONOMY", 5, 0.348670, "12 23 45"),
    ("CS_TASKONOMY", 2, 1.469936, "123 45"),
]
HOA = [
    ("HOA_CELEBA", 2, 6.520370, "1234689 57"),
    ("HOA_TASKONOMY", 2, 0.101860, "1234 35"),
    ("HOA_TASKONOMY", 3, 0.097920, "123 35 45"),
]
GAIN = [
    ("TAG_TASKONOMY", "as_given", 1, 5.936774, "12345"),
    ("TAG_TASKONOMY", "as_given", 2, 17.936094, "1 12345"),
    ("TAG_TASKONOMY", "as_given", 3, 27.864039, "1 12 12345"),
    ("TAG_TASKONOMY", "zero", 1, 0.517170, "12345"),
    ("TAG_TASKONOMY", "zero", 2, 1.013900, "12345 45"),
    ("TAG_TASKONOMY", "zero", 3, 1.4581675, "12345 2345 45"),
    ("CS_TASKONOMY", "as_given", 2, 24.645504, "12345 45"),
    ("CS_TASKONOMY", "as_given", 3, 36.721389, "12345 2345 45"),
    ("CS_TASKONOMY", "zero", 2, 5.047404, "12345 45"),
    ("CS_TASKONOMY", "zero", 3, 7.324239, "12345 2345 45"),
    ("TAG_CELEBA", "as_given", 2, -31.478375, "13456789 2"),
    ("TAG_CELEBA", "zero", 2, -675.732643, "1356789 24"),
    ("CS_CELEBA", "as_given", 2, 52.220613, "123456789 1567"),
    ("CS_CELEBA", "zero", 2, 8.220613, "123456789 1567"),
]


def digits(plan):
    return " ".join("".join(str(int(task) + 1) for task in group.tasks) for group in plan.groups)


@pytest.mark.parametrize(("name", "m", "value", "groups"), BEST_GROUP)
def test_best_group_selects_as_the_notebook(name, m, value, groups):
    plan = solve(getattr(published, name), num_groups=m, objective="best_group")
    assert plan.objective == pytest.approx(value, abs=1e-4 if "TAG_C" in name else 1e-6)
    assert digits(plan) == groups


@pytest.mark.parametrize(("name", "m", "value", "groups"), HOA)
def test_hoa_selects_as_the_notebook(name, m, value, groups):
    plan = solve(getattr(published, name), num_groups=m, objective="hoa")
    assert plan.objective == pytest.approx(value, abs=1e-6)
    assert digits(plan) == groups


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("name", "diagonal", "m", "value", "groups"), GAIN)
def test_gain_selects_the_published_optima(name, diagonal, m, value, groups, transposed):
    matrix = getattr(published, name)
    plan = solve(matrix.T if transposed else matrix, num_groups=m, diagonal=diagonal)
    assert plan.objective == pytest.approx(value, abs=1e-6)
    assert digits(plan) == groups


def test_best_group_reads_sources_by_row():
    plan = solve(published.TAG_CELEBA.T, num_groups=2, objective="best_group")
    assert plan.objective == pytest.approx(-85.7226, abs=1e-4)
    assert digits(plan) == "12345689 15678"


def test_published_celeba_pair_of_groups_is_below_the_optimum():
    problem = Problem(published.TAG_CELEBA, 2, "best_group")
    assert problem.value([{0, 6}, {1, 2, 3, 4, 5, 7, 8}]) == pytest.approx(-100.3423, abs=1e-4)


def test_a_task_is_served_by_the_group_that_scores_it_best():
    tasks = tuple("abcde")
    affinity = Affinity(tasks, published.TAG_TASKONOMY, 1, "tag")
    plan = Exact(num_groups=3).solve(affinity, objective="best_group")
    assert [(g.tasks, g.serves) for g in plan.groups] == [
        (("a", "b"), ("a", "b")),
        (("b", "c"), ("c",)),
        (("d", "e"), ("d", "e")),
    ]
    assert plan.bound == plan.objective
    assert (plan.status, plan.proof) == (
        "optimal",
        "exhaustive: dynamic programming over 31 subsets",
    )


def test_the_solvers_objective_wins_over_the_methods():
    affinity = Affinity(tuple("abcde"), published.CS_TASKONOMY, 1, "cosine")
    plan = Exact(num_groups=2, objective="gain").solve(affinity, objective="best_group")
    assert plan.objective == pytest.approx(24.645504, abs=1e-6)
    assert all(group.serves == group.tasks for group in plan.groups)


def test_celeba_optima_beyond_the_notebooks_search():
    # Values of an independent set-partitioning program on the matrix before rounding; the notebook needs over 8 hours.
    for m, value in ((4, -86.879283), (5, -84.995495), (6, -83.474355)):
        plan = solve(published.TAG_CELEBA, num_groups=m, objective="best_group")
        assert plan.objective == pytest.approx(value, abs=1e-4)
