"""The grouping problem as one integer program: a second opinion for few tasks."""

from itertools import combinations, pairwise

import numpy as np
from ortools.linear_solver.pywraplp import Variable

from mtlrun.core.grouping import Plan
from mtlrun.solvers._answer import Answer, plan_of
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._master import Choice, integer_solver, outcome
from mtlrun.solvers._solver import TimedSolver
from mtlrun.solvers._subsets import all_groups, allowed, scores, unit
from mtlrun.solvers.column_generation import cover_by_given
from mtlrun.solvers.problem import Problem

MAX_TASKS = 20
MAX_LISTED = 12  # tasks whose subsets are all listed


class MIP(TimedSolver):
    """PTG's Eq. 9 written out for SCIP; for the other objectives all subsets and who serves whom.

    With X_ij whether task i is in group j, y_j one over its size and u_ikj = X_ij X_kj y_j, all made
    linear by McCormick's inequalities, which are exact for binary X.

    Source: PTG Eq. 9.
    Differs: y has one entry a group, not a task; groups of equal budgets are told apart and put in
        order by their tasks' binary number.

    Args: Those of `TimedSolver`.
    """

    def answer(self, problem: Problem) -> Plan:
        """The best groups, or the best found in time with a bound."""
        return solve_as_program(problem, self.time_limit)

    def check_problem(self, problem: Problem) -> None:
        """Refuses too many tasks."""
        _check_size(problem)

    def best_of(self, problem: Problem, members: np.ndarray, scores: np.ndarray) -> list[int]:
        """By an integer program over the groups."""
        return cover_by_given(problem, members, scores, self.time_limit)


def solve_as_program(problem: Problem, time_limit: float) -> Plan:
    """The best groups of a problem, or the best found in time with a bound.

    Raises:
        ValueError: If there are too many tasks, no groups within the limits or none found in time.
    """
    _check_size(problem)
    n, clock = len(problem.matrix), Clock(time_limit)
    if problem.objective != "gain":
        members = all_groups(n)
        members = members[allowed(problem, members).any(0)]
        if not len(members):
            raise ValueError(
                "No group is within sizes, budgets and pairs. Loosen one of the limits."
            )
        problem.check_existing(len(members))
        chosen = cover_by_given(problem, members, scores(problem, members), time_limit)
        groups = [np.flatnonzero(members[k]).tolist() for k in chosen]
        answer = Answer(groups, None, f"integer program over {len(members)} subsets", True)
        return plan_of(problem, "mip", answer)
    program = _Program(problem, clock)
    choice = program.solve()
    if choice.chosen is None:
        found = "no such groups" if choice.infeasible else "none in the time"
        raise ValueError(
            f"{problem.num_groups} distinct groups should cover the {n} tasks within the limits. "
            f"Found {found}. Set solver.num_groups, loosen sizes or budgets, or raise "
            f"solver.time_limit."
        )
    bound = None if choice.proven else choice.bound * unit(problem.matrix)
    answer = Answer(
        program.groups, bound, "integer program of Eq. 9", True if choice.proven else None
    )
    return plan_of(problem, "mip", answer)


def _check_size(problem: Problem) -> None:
    n, most = len(problem.matrix), MAX_TASKS if problem.objective == "gain" else MAX_LISTED
    if n > most:
        raise ValueError(
            f"`mip` takes at most {most} tasks for `{problem.objective}`. Found {n} tasks. "
            f"Leave tasks out, or set solver=auto."
        )


class _Program:
    def __init__(self, problem: Problem, clock: Clock) -> None:
        self.problem = problem
        self.solver, self.parameters = integer_solver(clock)
        n, m = len(problem.matrix), problem.num_groups
        self.x = [[self.solver.BoolVar("") for _ in range(m)] for _ in range(n)]
        self.groups: list[list[int]] = []
        self._limits()
        self._objective()
        self._distinct()

    def solve(self) -> Choice:
        """Solves; fills `groups`."""
        return outcome(self.solver, self.parameters, self._read)

    def _read(self) -> list[int]:
        columns = range(self.problem.num_groups)
        self.groups = [
            [i for i, own in enumerate(self.x) if own[j].solution_value() > 0.5] for j in columns
        ]
        return list(columns)

    def _limits(self) -> None:
        problem, solver = self.problem, self.solver
        few, many = problem.sizes
        least, most = problem.joins
        for own in self.x:
            solver.Add(solver.Sum(own) >= least)
            solver.Add(solver.Sum(own) <= most)
        for j in range(problem.num_groups):
            column = [own[j] for own in self.x]
            solver.Add(solver.Sum(column) >= few)
            solver.Add(solver.Sum(column) <= many)
            if problem.budgets is not None and problem.capacities is not None:
                costs, capacity = problem.budgets[:, j], float(problem.capacities[j])
                if np.isfinite(capacity):
                    spent = sum(float(c) * v for c, v in zip(costs, column, strict=True))
                    solver.Add(spent <= capacity + 1e-9 * float(np.abs(costs).sum()))
            for a, b in problem.together:
                solver.Add(column[a] == column[b])
            for a, b in problem.apart:
                solver.Add(column[a] + column[b] <= 1)

    def _objective(self) -> None:
        problem, solver = self.problem, self.solver
        n = len(problem.matrix)
        matrix = problem.matrix / unit(problem.matrix)
        objective = solver.Objective()
        objective.SetMaximization()
        for j in range(problem.num_groups):
            y = solver.NumVar(1.0 / n, 1.0, "")
            p = [self._product(own[j], y) for own in self.x]  # X_ij y_j
            solver.Add(solver.Sum(p) == 1)
            for i in range(n):
                objective.SetCoefficient(p[i], float(matrix[i, i]))
            for i, k in combinations(range(n), 2):
                u = solver.NumVar(0.0, 1.0, "")  # X_ij X_kj y_j
                solver.Add(u <= p[i])
                solver.Add(u <= p[k])
                solver.Add(u >= p[i] + p[k] - y)
                objective.SetCoefficient(u, float(matrix[i, k] + matrix[k, i]))

    def _product(self, x: Variable, y: Variable) -> Variable:
        n = len(self.problem.matrix)
        p = self.solver.NumVar(0.0, 1.0, "")
        self.solver.Add(p <= x)
        self.solver.Add(p >= x / n)
        self.solver.Add(p <= y - (1 - x) / n)
        self.solver.Add(p >= y - (1 - x))
        return p

    def _distinct(self) -> None:
        kinds = self.problem.slot_kinds()
        for slots in kinds:
            for before, after in pairwise(slots):
                numbers = [
                    self.solver.Sum([2.0**i * own[j] for i, own in enumerate(self.x)])
                    for j in (before, after)
                ]
                self.solver.Add(numbers[0] >= numbers[1] + 1)
        for one, other in combinations(kinds, 2):
            for i in one:
                for j in other:
                    self._differ(i, j)

    def _differ(self, i: int, j: int) -> None:
        apart = [self.solver.BoolVar("") for _ in self.x]
        for z, own in zip(apart, self.x, strict=True):
            self.solver.Add(z <= own[i] + own[j])
            self.solver.Add(z <= 2 - own[i] - own[j])
        self.solver.Add(self.solver.Sum(apart) >= 1)
