"""Limits that no groups can meet are refused before anything is trained."""

import pytest

from mtlrun.solvers.auto import Auto
from mtlrun.solvers.branch_and_bound import BranchAndBound
from mtlrun.solvers.exact import Exact
from mtlrun.solvers.mip import MIP

FOUR, MANY = tuple("abcd"), tuple(map(str, range(30)))
BINS = {"budgets": [2.0, 2.0, 2.0, 2.0], "capacities": 3.0}  # a group holds one task


@pytest.mark.parametrize(
    ("solver", "objective", "tasks", "message"),
    [
        (Auto(num_groups=16), "gain", FOUR, r"between 1 and 15"),
        (Auto(num_groups=2, min_size=5), "gain", FOUR, r"`min_size` should be at most"),
        (Auto(num_groups=2, max_size=1), "gain", FOUR, r"cannot cover the 4 tasks"),
        (Auto(num_groups=2, partition=True, min_size=3), "hoa", FOUR, r"between 1 and 1\b"),
        (Auto(num_groups=3, **BINS), "best_group", FOUR, r"Found no such groups"),
        (Auto(num_groups=3, budgets=[1.0], capacities=1.0), "gain", FOUR, r"4 finite costs"),
        (Auto(num_groups=3, apart=[["a", "e"]]), "gain", FOUR, r"apart.*e"),
        (
            Auto(num_groups=2, together=[["a", "b"], ["b", "c"]], apart=[["a", "c"]]),
            "gain",
            FOUR,
            r"`together` should not be in `apart`",
        ),
        (Exact(num_groups=3), "gain", MANY, r"at most 13 tasks\. Found 30"),
        (MIP(num_groups=3), "gain", MANY, r"at most 20 tasks"),
        (BranchAndBound(num_groups=3), "hoa", MANY, r"at most 12 tasks"),
        (BranchAndBound(num_groups=3), "gain", FOUR, r"best_group. or .hoa"),
    ],
)
def test_what_no_groups_can_meet_is_refused(solver, objective, tasks, message):
    with pytest.raises(ValueError, match=message):
        solver.check(tasks, objective=objective)


def test_limits_that_groups_can_meet_are_not():
    Auto(num_groups=4, **BINS).check(FOUR, objective="best_group")
    Auto(num_groups=10, min_size=3, partition=True).check(MANY, objective="gain")
    BranchAndBound(num_groups=3).check(FOUR, objective="hoa")
