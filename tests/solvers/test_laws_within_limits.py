"""Laws of the answers to problems of all kinds, hundreds of them, with all limits there are."""

import numpy as np
import pytest

from tests.solvers.drawn import (
    MATRICES,
    OBJECTIVES,
    draw,
    groups_of,
    problem_of,
    solve,
    solvers_of,
)

BOTH = [(objective, partition) for objective in OBJECTIVES for partition in (False, True)]
MANY = {"auto": range(100, 300), "columns": range(100, 150)}
MORE = {"most_tasks": 8, "most_groups": 4}
pytestmark = pytest.mark.filterwarnings("ignore:`singleton_score`", "ignore:`diagonal`")


def signed(plan, objective):
    return -plan.objective if objective == "hoa" else plan.objective


def answer(name, matrix, m, objective, limits):
    """The plan, or None where no groups are within the limits."""
    try:
        return solve(name, matrix, m, objective, limits)
    except ValueError:
        return None


def looser(limits, n):
    """The limits, each left out or loosened in turn."""
    for key in limits:
        if key in ("together", "apart", "max_size", "max_joins"):
            yield {other: value for other, value in limits.items() if other != key}
    if "budgets" in limits:
        yield {key: value for key, value in limits.items() if key not in ("budgets", "capacities")}
        yield limits | {"capacities": (np.array(limits["capacities"]) + 1).tolist()}
    if limits["min_size"] > 1:
        yield limits | {"min_size": limits["min_size"] - 1}
    if "max_size" in limits and limits["max_size"] < n:
        yield limits | {"max_size": limits["max_size"] + 1}
    if limits.get("min_joins", 1) > 1:
        yield limits | {"min_joins": 1}
    if limits["partition"]:
        yield limits | {"partition": False}


def assert_looser_is_no_worse(name, objective, partition, numbers, **kinds):
    compared = 0
    for number in numbers:
        matrix, m, limits = draw(number, objective, partition, **kinds)
        strict = answer(name, matrix, m, objective, limits)
        if strict is None:
            continue
        tolerance = 1e-6 * abs(strict.objective) + 1e-9 * float(np.abs(matrix).max())
        for loose in looser(limits, len(matrix)):
            plan = answer(name, matrix, m, objective, loose)
            assert plan is not None
            assert signed(plan, objective) >= signed(strict, objective) - tolerance
            compared += 1
    assert compared > len(numbers) / 2


@pytest.mark.parametrize(("objective", "partition"), BOTH)
def test_looser_limits_are_no_worse(objective, partition):
    assert_looser_is_no_worse("auto", objective, partition, range(40), **MORE)


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "partition"), BOTH)
@pytest.mark.parametrize("name", ["auto", "columns"])
def test_looser_limits_are_no_worse_on_many(name, objective, partition):
    assert_looser_is_no_worse(name, objective, partition, MANY[name], **MORE)


def assert_more_groups_are_no_worse(name, objective, partition, numbers):
    for number in numbers:
        matrix, _, limits = draw(number, objective, partition, **MORE)
        if np.ndim(limits.get("capacities", 0)) or np.ndim(limits.get("budgets", 0)) > 1:
            continue  # a further group's budget would be another problem
        plans = [answer(name, matrix, m, objective, limits) for m in range(1, 6)]
        tolerance = 1e-6 * max((abs(plan.objective) for plan in plans if plan), default=0.0)
        best = -np.inf
        for plan in plans:
            if plan is not None:  # fewer groups cannot cover, or more do not exist
                assert signed(plan, objective) >= best - tolerance
                best = signed(plan, objective)


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("objective", ["best_group", "hoa"])
def test_more_groups_are_no_worse(objective, partition):
    assert_more_groups_are_no_worse("auto", objective, partition, range(25))


@pytest.mark.slow
@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("objective", ["best_group", "hoa"])
@pytest.mark.parametrize("name", ["auto", "columns"])
def test_more_groups_are_no_worse_on_many(name, objective, partition):
    assert_more_groups_are_no_worse(name, objective, partition, MANY[name])


def relabelled(limits, order):
    """Limits of tasks that moved: task order[t] is now task t."""
    moved, place = dict(limits), np.argsort(order).tolist()
    for key in ("together", "apart"):
        if key in limits:
            moved[key] = [(place[a], place[b]) for a, b in limits[key]]
    if "budgets" in limits:
        moved["budgets"] = np.array(limits["budgets"])[order].tolist()
    return moved


def assert_relabelling_permutes(name, objective, partition, numbers, **kinds):
    for number in numbers:
        matrix, m, limits = draw(number, objective, partition, **kinds)
        order = np.random.default_rng(number).permutation(len(matrix))
        turned = matrix[np.ix_(order, order)]
        moved_limits = relabelled(limits, order)
        plan = answer(name, matrix, m, objective, limits)
        moved = answer(name, turned, m, objective, moved_limits)
        assert (plan is None) == (moved is None)
        if plan is None:
            continue
        back = [tuple(sorted(order[list(group)].tolist())) for group in groups_of(moved)]
        problem = problem_of(matrix, m, objective, limits)
        assert problem.violation(back) is None
        tolerance = 2e-6 * abs(plan.objective) + 1e-9 * float(np.abs(matrix).max())
        assert abs(problem.value(back) - plan.objective) <= tolerance
        if number % len(MATRICES) == list(MATRICES).index("normal") and objective == "gain":
            assert sorted(back) == sorted(groups_of(plan))  # no others are as good


@pytest.mark.parametrize(("objective", "partition"), BOTH)
def test_relabelling_tasks_permutes_the_answer(objective, partition):
    for name in solvers_of(objective):
        if name != "mip":
            assert_relabelling_permutes(name, objective, partition, range(15))


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "partition"), BOTH)
@pytest.mark.parametrize("name", ["auto", "columns"])
def test_relabelling_tasks_permutes_the_answer_on_many(name, objective, partition):
    assert_relabelling_permutes(name, objective, partition, MANY[name], **MORE)
