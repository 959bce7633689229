"""Any groups within all limits, or the proof that there are none, by SCIP."""

from itertools import combinations

import numpy as np
from ortools.linear_solver.pywraplp import Solver

from mtlrun.solvers._clock import Clock
from mtlrun.solvers._family import Family
from mtlrun.solvers._items import keys_of
from mtlrun.solvers._master import Shape, integer_solver


def find_any(family: Family, shape: Shape, clock: Clock) -> tuple[np.ndarray | None, bool]:
    """Groups [m, N] within all limits by SCIP, or None; and whether it is proven that there are none."""
    items = family.items
    kinds = np.repeat(np.arange(len(shape.counts)), shape.counts).tolist()
    solver, parameters = integer_solver(clock)
    x = [[solver.BoolVar("") for _ in range(len(items))] for _ in kinds]
    used = [solver.BoolVar("") for _ in kinds]
    for j, kind in enumerate(kinds):
        if shape.exactly:
            solver.Add(used[j] == 1)
        for row, most in zip(items.rows[kind], items.most[kind], strict=True):
            cost = sum(float(c) * v for c, v in zip(row, x[j], strict=True))
            solver.Add(cost <= float(most) * (used[j] if most < 0 else 1))
        for v in x[j]:
            solver.Add(v <= used[j])
        for a, b in items.apart:
            solver.Add(x[j][a] + x[j][b] <= 1)
        if j and kind == kinds[j - 1]:
            solver.Add(sum(x[j]) <= sum(x[j - 1]))
    for a in range(len(items)):
        joined = solver.Sum([own[a] for own in x])
        solver.Add(joined >= shape.least)
        solver.Add(joined <= min(shape.most, len(kinds)))
    while not clock.over:
        solver.SetTimeLimit(max(1, int(1000 * clock.left)))
        status = solver.Solve(parameters)
        if status not in (Solver.OPTIMAL, Solver.FEASIBLE):
            return None, status == Solver.INFEASIBLE
        groups = np.array([[v.solution_value() > 0.5 for v in own] for own in x])
        keys = [bytes(key) for key in keys_of(groups)]
        equal = [(i, j) for i, j in combinations(range(len(x)), 2) if keys[i] == keys[j]]
        if not shape.distinct or not equal:
            return groups[groups.any(1)], False
        for i, j in equal:
            apart = [solver.BoolVar("") for _ in x[i]]
            for z, v, w in zip(apart, x[i], x[j], strict=True):
                solver.Add(z <= v + w)
                solver.Add(z <= 2 - v - w)
            solver.Add(solver.Sum(apart) >= 1)
    return None, False
