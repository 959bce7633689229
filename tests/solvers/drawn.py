"""Problems drawn at random: matrices of all kinds and scales, and every limit there is."""

from functools import cache

import numpy as np

from mtlrun.solvers import Problem
from mtlrun.solvers.auto import solve_automatically
from mtlrun.solvers.branch_and_bound import search_in_order
from mtlrun.solvers.column_generation import solve_by_columns
from mtlrun.solvers.exact import solve_exactly
from mtlrun.solvers.mip import solve_as_program
from tests.solvers import brute_force

OBJECTIVES = ["gain", "best_group", "hoa"]
SOLVERS = {
    "auto": solve_automatically,
    "exact": lambda problem, limit: solve_exactly(problem),
    "columns": lambda problem, limit: solve_by_columns(problem, limit, list_all=0),
    "listed columns": solve_by_columns,
    "mip": solve_as_program,
    "search": search_in_order,
}
LONG = 600.0  # seconds that no small problem takes, however busy the machine
MATRICES = {
    "normal": lambda rng, n: rng.normal(size=(n, n)),
    "ties": lambda rng, n: rng.integers(-1, 2, size=(n, n)).astype(float),
    "zero": lambda rng, n: np.zeros((n, n)),
    "negative": lambda rng, n: -rng.random((n, n)) - 0.01,
    "positive": lambda rng, n: rng.random((n, n)) + 0.01,
    "negative ties": lambda rng, n: -rng.integers(1, 4, size=(n, n)).astype(float),
    "large diagonal": lambda rng, n: rng.normal(size=(n, n)) + 10 * np.eye(n),
    "scaled": lambda rng, n: rng.normal(size=(n, n)) * 10.0 ** rng.integers(-9, 10),
    "scaled ties": lambda rng, n: rng.integers(-3, 4, size=(n, n)) * 10.0 ** rng.integers(-9, 10),
    "one row": lambda rng, n: np.tile(rng.normal(size=n), (n, 1)),
}


def solvers_of(objective):
    """The names of the solvers that serve an objective."""
    return [name for name in SOLVERS if objective != "gain" or name != "search"]


def draw(number, objective, partition, *, most_tasks=5, most_groups=3):
    """(matrix, m, limits) of a number, the same for the same arguments."""
    rng = np.random.default_rng([number, OBJECTIVES.index(objective), partition])
    n = int(rng.integers(1, most_tasks + 1))
    every = 2**n - 1
    m = int(rng.integers(1, min(every, most_groups) + 1))
    if n <= 3 and rng.random() < 0.2:
        m = every - int(rng.integers(0, min(every, 3)))
    matrix = list(MATRICES.values())[number % len(MATRICES)](rng, n)
    limits = {"partition": partition} | _sizes(rng, n) | _pairs(rng, n)
    if rng.random() < 0.5 and m <= 3:
        limits |= _budgets(rng, n, m)
    if objective == "gain":
        limits["diagonal"] = str(rng.choice(["as_given", "zero"]))
        if not partition and rng.random() < 0.3:
            limits["min_joins"] = int(rng.integers(1, 3))
            if rng.random() < 0.5:
                limits["max_joins"] = limits["min_joins"] + int(rng.integers(0, 2))
    if objective == "best_group" and rng.random() < 0.3:
        limits["singleton_score"] = ["diagonal", 0.5, -3.0][rng.integers(3)]
    return matrix, m, limits


@cache
def expected(number, objective, partition, **more):
    """(value, groups) of the best by every choice tried out; None for none."""
    matrix, m, limits = draw(number, objective, partition, **more)
    return brute_force.best(matrix.tolist(), m, objective, **limits)


def solve(name, matrix, m, objective, limits, seconds=LONG):
    """A solver's plan."""
    return SOLVERS[name](problem_of(matrix, m, objective, limits), seconds)


def problem_of(matrix, m, objective, limits):
    """What is asked, its budgets as arrays."""
    given = {key: np.array(v) if key in ARRAYS else v for key, v in limits.items()}
    return Problem(matrix, m, objective, **given)


def groups_of(plan):
    """The groups by positions, in the plan's order."""
    return [tuple(int(task) for task in group.tasks) for group in plan.groups]


def assert_sound(plan, matrix, m, objective, limits):
    """The groups are allowed, the value is theirs, the bound is finite and no worse."""
    problem = problem_of(matrix, m, objective, limits)
    sign = -1 if objective == "hoa" else 1
    assert problem.violation(groups_of(plan)) is None
    value = problem.value(groups_of(plan))
    assert abs(plan.objective - value) <= 1e-12 * abs(value)
    assert np.isfinite(plan.bound)
    assert sign * plan.bound >= sign * plan.objective


ARRAYS = ("budgets", "capacities")


def _sizes(rng, n):
    limits = {"min_size": int(rng.choice([1, 1, 1, 2, 3]))}
    if rng.random() < 0.4:
        limits["max_size"] = int(rng.integers(1, n + 1))
    return limits


def _pairs(rng, n):
    if n < 3 or rng.random() < 0.6:
        return {}
    a, b, c = rng.permutation(n)[:3].tolist()
    kinds = [{"together": [(a, b)]}, {"apart": [(a, b), (b, c)]}]
    kinds.append({"together": [(a, b)], "apart": [(b, c)]})
    return kinds[rng.integers(3)]


def _budgets(rng, n, m):
    costs = rng.integers(-1, 4, size=(n, m)).tolist()
    equal, capacities = [row[0] for row in costs], rng.integers(2, 8, size=m).tolist()
    kinds = [
        {"budgets": equal, "capacities": capacities[0]},
        {"budgets": equal, "capacities": capacities},
        {"budgets": costs, "capacities": capacities},
    ]
    return kinds[rng.integers(3)]
