"""The best few of given groups where each task is served by one of them, by SCIP."""

import numpy as np
from ortools.linear_solver.pywraplp import Variable

from mtlrun.solvers._clock import Clock
from mtlrun.solvers._master import Choice, integer_solver, outcome


def choose_serving(
    scores: np.ndarray,
    fits: np.ndarray,
    counts: tuple[int, ...],
    clock: Clock,
    *,
    useful: np.ndarray | None = None,
    hint: list[int] | None = None,
) -> Choice:
    """At most as many groups as there are slots, the sum over tasks of the best score most.

    Args:
        scores: [K, n] what each group gives each task; -inf for tasks it does not hold.
        fits: [kinds, K] the slots each may take.
        counts: Slots of each kind.
        clock: When to stop.
        useful: [K, n] the tasks that a group is considered for; None for all of its own.
        hint: A choice to start from.
    """
    solver, parameters = integer_solver(clock)
    objective = solver.Objective()
    objective.SetMaximization()
    serving = np.isfinite(scores) if useful is None else useful & np.isfinite(scores)
    tasks = [solver.Constraint(1.0, 1.0) for _ in range(scores.shape[1])]
    slots = [solver.Constraint(0.0, float(count)) for count in counts]
    taken: list[list[Variable]] = []
    for k in range(len(scores)):
        own = []
        for kind in np.flatnonzero(fits[:, k]).tolist():
            variable = solver.BoolVar("")
            slots[kind].SetCoefficient(variable, 1.0)
            own.append(variable)
        taken.append(own)
        for task in np.flatnonzero(serving[k]).tolist():
            served = solver.NumVar(0.0, 1.0, "")
            objective.SetCoefficient(served, float(scores[k, task]))
            tasks[task].SetCoefficient(served, 1.0)
            link = solver.Constraint(-solver.infinity(), 0.0)
            link.SetCoefficient(served, 1.0)
            for variable in own:
                link.SetCoefficient(variable, -1.0)
    if hint is not None and len(counts) == 1:
        hinted = [variable for k in hint for variable in taken[k]]
        solver.SetHint(hinted, [1.0] * len(hinted))
    return outcome(
        solver,
        parameters,
        lambda: [k for k, own in enumerate(taken) if any(v.solution_value() > 0.5 for v in own)],
    )
