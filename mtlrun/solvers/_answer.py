"""From a solver's groups to a plan."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mtlrun.core.grouping import Group, Plan
from mtlrun.solvers.problem import Problem

SAME = 1e-6  # a relative gap up to which groups are called optimal


@dataclass(frozen=True)
class Answer:
    """What a solver found.

    Attributes:
        groups: Tasks by position, in any order.
        bound: No groups score better; None for the groups' own value.
        proof: What proved it.
        optimal: Whether the groups are the best within 1e-6 relative; None to say so by the bound.
    """

    groups: Sequence[Sequence[int]]
    bound: float | None
    proof: str
    optimal: bool | None = None


def plan_of(problem: Problem, solver: str, answer: Answer, *, ordered: bool = False) -> Plan:
    """The plan of an answer; groups in lexicographic order, but for those that are `ordered`."""
    sets = [tuple(sorted(group)) for group in answer.groups]
    groups = sets if ordered else sorted(sets)
    value = problem.value(groups)
    sign = problem.sign
    bound = value if answer.bound is None else sign * max(sign * answer.bound, sign * value)
    if not math.isfinite(bound):
        raise AssertionError("A bound should be finite.")
    optimal = answer.optimal
    if optimal is None:
        optimal = abs(bound - value) <= SAME * abs(value)
    return as_plan(
        problem,
        solver,
        groups,
        problem.served(groups),
        value=value,
        bound=bound,
        proof=answer.proof,
        optimal=optimal,
    )


def as_plan(
    problem: Problem,
    solver: str,
    groups: Sequence[Sequence[int]],
    serves: Sequence[Sequence[int]],
    *,
    value: float,
    bound: float,
    proof: str,
    optimal: bool,
) -> Plan:
    """A plan by task names."""
    names = problem.tasks
    settings: dict[str, Any] = {"solver": solver, "objective": problem.objective}
    if len(problem.slot_kinds()) > 1:
        settings["slots"] = problem.slots(groups)  # of which group's budget each is within
    return Plan(
        tuple(
            Group(tuple(names[t] for t in own), tuple(names[t] for t in served))
            for own, served in zip(groups, serves, strict=True)
        ),
        settings,
        objective=value,
        bound=bound,
        status="optimal" if optimal else "feasible",
        proof=proof,
    )
