"""The solvers in a user's own program."""

import subprocess
import sys

import mtlrun.solvers
from mtlrun.core.grouping import Plan

PROGRAM = """
import sys
from mtlrun.solvers import solve
from mtlrun.solvers.exact import Exact
plan = solve([[0, 1], [1, 0]], num_groups=1)
assert plan.groups[0].tasks == ("0", "1")
assert not {"torch", "hydra", "scipy", "pandas"} & set(sys.modules)
"""


def test_solving_imports_no_torch():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)


def test_the_docstrings_example_is_right():
    import doctest

    assert doctest.testmod(mtlrun.solvers).failed == 0


def test_a_plan_survives_as_text():
    plan = mtlrun.solvers.solve([[0, 2], [1, 0]], num_groups=1, objective="best_group")
    assert Plan.from_json(plan.to_json()) == plan
