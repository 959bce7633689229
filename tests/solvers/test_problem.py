"""Bad input gets its error; values and limits of given groups."""

import numpy as np
import pytest

from mtlrun.core.grouping import Affinity
from mtlrun.solvers import Problem, solve
from mtlrun.solvers.exact import MAX_TASKS, Exact

S = np.arange(9.0).reshape(3, 3)
BAD = [
    ({"matrix": [[1, 2, 3], [4, 5, 6]]}, "square"),
    ({"matrix": np.zeros((0, 0))}, "square"),
    ({"matrix": [1, 2, 3]}, "square"),
    ({"matrix": [[1, 2], [3]]}, "`matrix` should be numbers"),
    ({"matrix": [["1", "2"], ["3", "4"]]}, "`matrix` should be numbers"),
    ({"matrix": [[1, None], [3, 4]]}, "`matrix` should be numbers"),
    ({"matrix": [[1, 2], [np.nan, 4]]}, r"`S\[1,0\] = nan`"),
    ({"matrix": [[1, np.inf], [2, 4]], "tasks": ["a", "b"]}, r"= inf` \(source `a`, target `b`\)"),
    ({"tasks": ["a", "b"]}, "3 distinct names"),
    ({"tasks": ["a", "b", "b"]}, "3 distinct names"),
    ({"num_groups": 0}, "`num_groups = 0`. Set solver.num_groups"),
    ({"num_groups": -1}, "`num_groups = -1`. Set solver.num_groups"),
    ({"num_groups": True}, "`num_groups = True`. Set solver.num_groups"),
    ({"num_groups": 2.5}, "`num_groups = 2.5`. Set solver.num_groups"),
    ({"num_groups": "3"}, "`num_groups = '3'`. Set solver.num_groups"),
    ({"num_groups": None}, "`num_groups = None`. Set solver.num_groups"),
    ({"num_groups": 8}, "between 1 and 7, .*`num_groups = 8`. Set solver.num_groups"),
    ({"num_groups": 4, "max_size": 1}, "between 1 and 3, .*`num_groups = 4`"),
    ({"num_groups": 6, "apart": [(0, 1)]}, "between 1 and 5, .*`num_groups = 6`"),
    ({"num_groups": 4, "partition": True}, "between 1 and 3, .*`num_groups = 4`"),
    ({"num_groups": 2, "partition": True, "min_size": 2}, "between 1 and 1, "),
    ({"num_groups": 8, "objective": "best_group"}, "between 1 and 7, .*`num_groups = 8`"),
    ({"num_groups": 2, "max_size": 1}, "cannot cover"),
    ({"min_size": 3, "max_size": 2}, "`min_size` should be at most `max_size`"),
    ({"min_size": 4}, "`min_size` should be at most"),
    ({"min_size": 0}, "`min_size = 0`"),
    ({"min_size": None}, "`min_size = None`"),
    ({"max_size": 1.5}, "`max_size = 1.5`"),
    ({"max_size": True}, "`max_size = True`"),
    ({"min_size": "2"}, "`min_size = '2'`"),
    ({"max_joins": 0}, "`max_joins = 0`"),
    ({"num_groups": np.float64(2)}, r"`num_groups = np.float64\(2.0\)`"),
    ({"time_limit": 0}, "`time_limit = 0`. Set solver.time_limit"),
    ({"time_limit": np.nan}, "`time_limit = nan`"),
    ({"time_limit": None}, "`time_limit = None`"),
    ({"time_limit": "60"}, "`time_limit = '60'`"),
    ({"solver": "gurobi"}, "one of auto, exact, column_generation, branch_and_bound, mip"),
    ({"matrix": True}, "`matrix` should be numbers"),
    ({"matrix": None}, "`matrix` should be numbers"),
    ({"matrix": 2.0}, "square"),
    ({"matrix": [[1 + 2j]]}, "`matrix` should be numbers"),
    ({"min_joins": 3}, "`min_joins` should be at most"),
    ({"min_joins": 2, "partition": True}, "solver.partition=false"),
    ({"min_joins": 2, "objective": "best_group"}, "`gain` only"),
    ({"objective": "best"}, "one of gain, best_group, hoa. Found `objective = 'best'`"),
    ({"diagonal": "none"}, "one of as_given, zero"),
    ({"singleton_score": np.nan}, "`singleton_score = nan`"),
    ({"singleton_score": "diag"}, "`singleton_score = 'diag'`"),
    ({"singleton_score": None}, "`singleton_score = None`"),
    ({"budgets": [1, 1, 1]}, "Set solver.capacities"),
    ({"capacities": 1}, "Set solver.budgets"),
    ({"budgets": [1, 1], "capacities": 1}, r"shape \(2,\)"),
    ({"budgets": np.ones((3, 3)), "capacities": 1}, r"shape \(3, 3\)"),
    ({"budgets": [1, np.nan, 1], "capacities": 1}, "not finite"),
    ({"budgets": ["1", "2", "3"], "capacities": 1}, "`budgets` should be numbers"),
    ({"budgets": [1, 1, 1], "capacities": -1}, "at least 0"),
    ({"budgets": [1, 1, 1], "capacities": [1, np.nan]}, "at least 0"),
    ({"budgets": [1, 1, 1], "capacities": [1, 2, 3]}, "or 2, one for each group"),
    ({"budgets": [1, 5, 1], "capacities": [4, 2], "tasks": list("abc")}, "Found task `b`"),
    ({"budgets": [[1, 9], [1, 9], [1, 9]], "capacities": 3}, "none for group 1"),
    ({"budgets": [2, 2, 2], "capacities": 3}, "cover the 3 tasks"),
    ({"together": [(0, 3)]}, "out of 0, 1, 2"),
    ({"together": [(0, 0)]}, "pairs of two tasks"),
    ({"apart": ["ab"], "tasks": list("abc")}, "out of a, b, c"),
    ({"apart": [(0, 1)], "together": [("1", "0")]}, "Found `0` and `1` in both"),
    ({"min_size": 3, "num_groups": 1, "apart": [(0, 1)]}, "No group is within"),
]


@pytest.mark.parametrize(("change", "found"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_input_gets_its_error(change, found):
    arguments = {"matrix": S, "num_groups": 2} | change
    with pytest.raises(ValueError, match=found):
        solve(arguments.pop("matrix"), **arguments)


@pytest.mark.parametrize("num_groups", [0, -1, True, 2.5, "3", None])
def test_the_solver_checks_its_number_of_groups_when_made(num_groups):
    with pytest.raises(ValueError, match=r"Set solver\.num_groups"):
        Exact(num_groups=num_groups)


def test_the_solver_names_its_limit_of_tasks():
    size = MAX_TASKS + 1
    affinity = Affinity(tuple(map(str, range(size))), np.zeros((size, size)), 1, "tag")
    with pytest.raises(ValueError, match=f"at most {MAX_TASKS} tasks. Found {size} tasks"):
        Exact().solve(affinity, objective="gain")
    with pytest.raises(ValueError, match=f"at most {MAX_TASKS} tasks. Found {size} tasks"):
        Exact().select(affinity.tasks, [affinity.tasks], np.zeros((1, size)))


def test_the_solver_names_its_limit_of_states():
    with pytest.raises(ValueError, match=r"Set a smaller solver\.num_groups"):
        solve(np.zeros((12, 12)), num_groups=1000, solver="exact")


def test_a_setting_without_effect_is_a_warning():
    with pytest.warns(UserWarning, match="singleton_score"):
        solve(S, num_groups=2, singleton_score=0)
    with pytest.warns(UserWarning, match="diagonal"):
        solve(S, num_groups=2, objective="hoa", diagonal="zero")


def test_infinite_capacity_is_no_limit():
    plan = solve(S, num_groups=2, budgets=[1, 2, 3], capacities=np.inf)
    assert plan.objective == solve(S, num_groups=2).objective


def test_budgets_that_fill_the_capacity_by_tenths_fit():
    plan = solve(-S, num_groups=1, budgets=[0.1, 0.2, 0.4], capacities=0.7)
    assert plan.groups[0].tasks == ("0", "1", "2")


def test_groups_say_which_budget_they_are_within_where_budgets_differ():
    plan = solve(S, num_groups=2, budgets=[1, 1, 1], capacities=[1, 3], partition=True)
    sizes = [len(group.tasks) for group in plan.groups]
    assert sorted(zip(sizes, plan.settings["slots"], strict=True)) == [(1, 0), (2, 1)]


def test_value_follows_the_definitions():
    # By hand, S = [[0 1 2] [3 4 5] [6 7 8]]: {0,1} gains (0+1+3+4)/2, {1,2} gains (4+5+7+8)/2.
    groups = [{0, 1}, {1, 2}]
    assert Problem(S, 2).value(groups) == 4 + 12
    assert Problem(S, 2, diagonal="zero").value(groups) == 2 + 6
    # Task 0 takes S[1,0] = 3, task 1 the better of S[0,1] = 1 and S[2,1] = 7, task 2 S[1,2] = 5.
    assert Problem(S, 2, "best_group").value(groups) == 5
    assert Problem(S, 2, "hoa").value(groups) == 3
    assert Problem(S, 2, "best_group").served(groups) == [[0], [1, 2]]
    # {0} alone, then {0,1,2}: task 1 takes the mean of S[0,1] and S[2,1].
    assert Problem(S, 2, "best_group").score({0}, 0) == -1e6
    assert Problem(S, 2, "best_group", singleton_score="diagonal").score({1}, 1) == 4
    assert Problem(S, 2, "hoa").score({2}, 2) == 8
    assert Problem(S, 2, "best_group").score({0, 1, 2}, 1) == 4


@pytest.mark.parametrize(
    ("groups", "limits", "found"),
    [
        ([{0, 1}, {2}], {}, None),
        ([{0, 1, 2}], {}, "1 groups, not 2"),
        ([{0, 1, 2}], {"objective": "hoa"}, None),
        ([{0, 1}, {1, 0}], {}, "two equal"),
        ([{0, 1}, {1}], {}, "task `2` in 0 groups"),
        ([{0, 1}, {1, 2}], {"partition": True}, "task `1` in 2 groups"),
        ([{0, 1}, {2}], {"min_size": 2}, "1 tasks in a group"),
        ([{0, 1}, {2}], {"together": [(1, 2)]}, "not together"),
        ([{0, 1}, {2}], {"apart": [(0, 1)]}, "not apart"),
        ([{0, 1}, {2}], {"budgets": [1, 1, 1], "capacities": [1, 2]}, None),
        ([{0, 1}, {1, 2}], {"budgets": [1, 1, 1], "capacities": [1, 2]}, "budgets"),
    ],
)
def test_violation_names_the_limit_that_given_groups_break(groups, limits, found):
    reason = Problem(S, 2, **limits).violation(groups)
    assert reason is None if found is None else found in reason
