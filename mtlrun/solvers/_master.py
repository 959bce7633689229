"""Programs over given groups: the linear one, whose duals price further groups, and the integer one."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from ortools.linear_solver.pywraplp import MPSolverParameters, Solver, Variable

from mtlrun.solvers._clock import Clock
from mtlrun.solvers._items import keys_of


@dataclass(frozen=True)
class Duals:
    """Of a linear program over groups.

    Attributes:
        value: Of the program.
        rewards: [R] what serving a row is worth beside a group's value.
        prices: [kinds] what a slot costs.
        weights: [C] how much of each column is taken.
    """

    value: float
    rewards: np.ndarray
    prices: np.ndarray
    weights: np.ndarray

    def raised(self, extra: float) -> "Duals":
        """The same with an extra on every price."""
        return replace(self, prices=self.prices + extra)


@dataclass(frozen=True)
class Shape:
    """What a choice of groups must keep.

    Attributes:
        num_rows: R, of tasks or items.
        least: Groups that serve a row, at least.
        most: At most.
        counts: [kinds] slots of each kind.
        exactly: Whether every slot is taken.
        distinct: Whether a column is taken once only.
    """

    num_rows: int
    least: float
    most: float
    counts: tuple[int, ...]
    exactly: bool
    distinct: bool

    @property
    def once(self) -> bool:
        """Whether every row is served by one group only, and by one."""
        return self.least == self.most == 1

    def charge(self, rewards: np.ndarray) -> float:
        """What the rewards [R] cost: no choice of groups is worth more than its groups minus this."""
        return float(np.where(rewards > 0, self.least, self.most) @ rewards)


class LinearMaster:
    """The linear program over columns, solved anew as columns come.

    Args:
        shape: What a choice must keep.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.groups: list[np.ndarray] = []
        self._known: set[bytes] = set()
        self._entries: list[tuple[list[int], float, list[int]]] = []
        self._begin()

    def _begin(self) -> None:
        """An empty program."""
        shape = self.shape
        self._solver = Solver.CreateSolver("GLOP")
        self._objective = self._solver.Objective()
        self._objective.SetMaximization()
        infinity = self._solver.infinity()
        most = shape.most if shape.most < sum(shape.counts) else infinity
        self._rows = [self._solver.Constraint(shape.least, most) for _ in range(shape.num_rows)]
        self._kinds = [
            self._solver.Constraint(float(count) if shape.exactly else -infinity, float(count))
            for count in shape.counts
        ]
        self._columns: list[list[Variable]] = []

    def add(
        self, groups: np.ndarray, rows: np.ndarray, values: np.ndarray, fits: np.ndarray
    ) -> int:
        """Adds columns that are not there yet; how many these are.

        Args:
            groups: [K, N].
            rows: [K, R] which rows each serves.
            values: [K].
            fits: [kinds, K] the slots each may take.
        """
        added = 0
        for k, key in enumerate(keys_of(np.hstack([groups, rows]))):
            if bytes(key) in self._known or not fits[:, k].any():
                continue
            self._known.add(bytes(key))
            self.groups.append(groups[k])
            kinds = np.flatnonzero(fits[:, k]).tolist()
            self._entries.append((np.flatnonzero(rows[k]).tolist(), float(values[k]), kinds))
            self._add(*self._entries[-1])
            added += 1
        return added

    def _add(self, places: list[int], value: float, kinds: list[int]) -> None:
        once = self.shape.distinct and len(kinds) > 1
        limit = self._solver.Constraint(-self._solver.infinity(), 1.0) if once else None
        most = 1.0 if self.shape.distinct else self._solver.infinity()
        column = []
        for kind in kinds:
            variable = self._solver.NumVar(0.0, most, "")
            self._objective.SetCoefficient(variable, value)
            for place in places:
                self._rows[place].SetCoefficient(variable, 1.0)
            self._kinds[kind].SetCoefficient(variable, 1.0)
            if limit is not None:
                limit.SetCoefficient(variable, 1.0)
            column.append(variable)
        self._columns.append(column)

    def solve(self, clock: Clock) -> Duals | None:
        """The duals of the best choice of parts of columns; None if the time is up or there is none."""
        if not self._solved(clock):
            # A basis that it goes on from may be too ill conditioned
            self._begin()
            for entry in self._entries:
                self._add(*entry)
            if not self._solved(clock):
                return None
        rewards = -np.array([row.dual_value() for row in self._rows])
        prices = np.array([kind.dual_value() for kind in self._kinds])
        if self.shape.most >= sum(self.shape.counts):
            rewards = np.maximum(rewards, 0.0)
        weights = [sum(v.solution_value() for v in column) for column in self._columns]
        return Duals(
            self._objective.Value(),
            rewards,
            prices if self.shape.exactly else np.maximum(prices, 0.0),
            np.array(weights),
        )

    def _solved(self, clock: Clock) -> bool:
        self._solver.SetTimeLimit(max(1, int(1000 * clock.left)))
        return not clock.over and self._solver.Solve() == Solver.OPTIMAL


@dataclass(frozen=True)
class Choice:
    """What an integer program found.

    Attributes:
        chosen: The columns taken, if any.
        bound: No choice is worth more.
        infeasible: Whether there is none.
        proven: Whether the chosen is the best.
    """

    chosen: list[int] | None
    bound: float
    infeasible: bool
    proven: bool


def choose(
    shape: Shape,
    rows: np.ndarray,
    values: np.ndarray,
    fits: np.ndarray,
    clock: Clock,
    *,
    hint: list[int] | None = None,
) -> Choice:
    """The best choice among columns by SCIP.

    Args:
        shape: What it must keep.
        rows: [K, R] the rows each column serves.
        values: [K].
        fits: [kinds, K] the slots each may take.
        clock: When to stop.
        hint: A choice to start from.
    """
    solver, parameters = integer_solver(clock)
    objective = solver.Objective()
    objective.SetMaximization()
    infinity = solver.infinity()
    limits = [solver.Constraint(shape.least, min(shape.most, 1e9)) for _ in range(shape.num_rows)]
    kinds = [
        solver.Constraint(float(count) if shape.exactly else 0.0, float(count))
        for count in shape.counts
    ]
    hinted: list[Variable] = []
    variables: list[tuple[int, Variable]] = []
    for k in range(len(values)):
        own = []
        for kind in np.flatnonzero(fits[:, k]).tolist():
            variable = solver.BoolVar("")
            objective.SetCoefficient(variable, float(values[k]))
            for place in np.flatnonzero(rows[k]).tolist():
                limits[place].SetCoefficient(variable, 1.0)
            kinds[kind].SetCoefficient(variable, 1.0)
            own.append(variable)
            variables.append((k, variable))
        if shape.distinct and len(own) > 1:
            once = solver.Constraint(-infinity, 1.0)
            for variable in own:
                once.SetCoefficient(variable, 1.0)
        if hint is not None and len(shape.counts) == 1:
            hinted += own if k in hint else []
    if hinted:
        solver.SetHint(hinted, [1.0] * len(hinted))
    return outcome(
        solver, parameters, lambda: [k for k, v in variables if v.solution_value() > 0.5]
    )


def outcome(
    solver: Solver,
    parameters: MPSolverParameters,
    chosen: Callable[[], list[int]],
) -> Choice:
    """Solves; what came of it."""
    status = solver.Solve(parameters)
    if status in (Solver.OPTIMAL, Solver.FEASIBLE):
        proven = status == Solver.OPTIMAL
        value, bound = solver.Objective().Value(), solver.Objective().BestBound()
        return Choice(chosen(), max(value, bound), False, proven)
    return Choice(None, np.inf, status == Solver.INFEASIBLE, False)


def integer_solver(clock: Clock) -> tuple[Solver, MPSolverParameters]:
    """SCIP, quiet, one thread, with no gap left and the clock's time."""
    solver = Solver.CreateSolver("SCIP")
    solver.SetTimeLimit(max(1, int(1000 * clock.left)))
    parameters = MPSolverParameters()
    parameters.SetDoubleParam(parameters.RELATIVE_MIP_GAP, 0.0)
    return solver, parameters
