"""One task, one group, all subsets, no groups at all: by every solver."""

import numpy as np
import pytest

from tests.solvers.drawn import MATRICES, OBJECTIVES, assert_sound, groups_of, solve, solvers_of

CASES = [(name, objective) for objective in OBJECTIVES for name in solvers_of(objective)]
NONE = [  # tasks, groups, limits
    (3, 8, {}),  # 7 subsets
    (3, 4, {"max_size": 1}),  # 3 subsets
    (3, 4, {"partition": True}),
    (4, 3, {"partition": True, "min_size": 2}),
    (5, 2, {"max_size": 2}),
    (3, 1, {"min_size": 3, "apart": [(0, 1)]}),
    (3, 1, {"apart": [(0, 1)]}),
    (3, 2, {"partition": True, "together": [(0, 1), (1, 2)], "min_size": 1, "max_size": 2}),
    (3, 2, {"together": [(0, 1), (1, 2)], "max_size": 2}),
    (3, 2, {"budgets": [2, 2, 2], "capacities": 3}),
    (3, 2, {"budgets": [1, 5, 1], "capacities": [4, 2]}),
    (3, 2, {"budgets": [[1, 9], [1, 9], [1, 9]], "capacities": [2, 8]}),
    (6, 2, {"budgets": [3, 3, 3, 3, 3, 3], "capacities": [9, 8], "partition": True}),
]


@pytest.mark.parametrize(("name", "objective"), CASES)
def test_one_task_is_one_group(name, objective):
    for value in (2.5, 0.0, -1e-9, 1e9):
        plan = solve(name, np.array([[value]]), 1, objective, {})
        assert groups_of(plan) == [(0,)]
        assert plan.status == "optimal"
        assert plan.objective == (-1e6 if objective == "best_group" else value)


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize(("name", "objective"), CASES)
def test_one_group_holds_all_tasks(name, objective, kind):
    matrix = MATRICES[kind](np.random.default_rng(1), 6)
    plan = solve(name, matrix, 1, objective, {})
    assert groups_of(plan) == [(0, 1, 2, 3, 4, 5)]
    assert plan.status == "optimal"
    assert_sound(plan, matrix, 1, objective, {})


@pytest.mark.parametrize("kind", ["normal", "ties", "zero", "negative", "positive"])
@pytest.mark.parametrize(("name", "objective"), CASES)
def test_all_subsets_may_be_asked_for(name, objective, kind):
    for n in (2, 3):
        matrix, m = MATRICES[kind](np.random.default_rng(2), n), 2**n - 1
        plan = solve(name, matrix, m, objective, {})
        assert plan.status == "optimal"
        assert_sound(plan, matrix, m, objective, {})
        if objective == "gain":
            assert len(set(groups_of(plan))) == m
        fewer = solve("exact", matrix, m, objective, {})
        assert plan.objective == pytest.approx(fewer.objective, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("n", "m", "limits"), NONE)
@pytest.mark.parametrize(("name", "objective"), CASES)
def test_no_groups_at_all_are_an_error(name, objective, n, m, limits):
    matrix = np.random.default_rng(3).normal(size=(n, n))
    with pytest.raises(ValueError, match=r"Found|Loosen") as caught:
        solve(name, matrix, m, objective, limits)
    assert "in the time" not in str(caught.value)
