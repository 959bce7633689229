"""What all grouping solvers share: their limits, and the choice among trained groups."""

import math
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from mtlrun.core.grouping import Affinity, GroupingSolver, Objective, Plan
from mtlrun.solvers import _checks
from mtlrun.solvers._answer import as_plan
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._columns import require_groups
from mtlrun.solvers._subsets import all_groups, allowed, unit
from mtlrun.solvers.problem import Problem

MOST_LISTED = 20  # tasks whose groups can all be listed
CHECK_SECONDS = 10.0  # to find any groups within the limits
Pairs = Sequence[Sequence[str]]


class Solver(GroupingSolver):
    """A solver with the limits that `Problem` explains.

    Args:
        num_groups: m; exactly m distinct groups for "gain", at most m for the others.
        objective: What is best; None for what the method asks for.
        min_size: Tasks of a group, at least.
        max_size: Tasks of a group, at most; None for all.
        partition: Whether a task is in one group only.
        diagonal: Whether "gain" counts the diagonal as it is or as 0.
        singleton_score: Of a task alone in "best_group".
        budgets: What each task costs, or rows of what it costs in each group; None for nothing.
        capacities: The most that a group's tasks cost together, or one number for each group.
        together: Pairs of tasks: a group that holds one holds the other.
        apart: Pairs of tasks that no group holds both of.
        min_joins: Groups that a task is in, at least ("gain").
        max_joins: Groups that a task is in, at most ("gain"); None for no limit.
    """

    def __init__(
        self,
        *,
        num_groups: int = 3,
        objective: Objective | None = None,
        min_size: int = 1,
        max_size: int | None = None,
        partition: bool = False,
        diagonal: Literal["as_given", "zero"] = "as_given",
        singleton_score: float | Literal["diagonal"] = -1e6,
        budgets: Sequence[float] | Sequence[Sequence[float]] | None = None,
        capacities: float | Sequence[float] | None = None,
        together: Pairs = (),
        apart: Pairs = (),
        min_joins: int = 1,
        max_joins: int | None = None,
    ) -> None:
        self.num_groups = _checks.integer("num_groups", num_groups)
        self.objective = objective
        self.diagonal = diagonal
        self.singleton_score = singleton_score
        self._sizes: dict[str, Any] = {
            "min_size": _checks.integer("min_size", min_size),
            "max_size": None if max_size is None else _checks.integer("max_size", max_size),
            "partition": partition,
            "budgets": None if budgets is None else _checks.numbers("budgets", budgets),
            "capacities": None if capacities is None else _checks.numbers("capacities", capacities),
        }
        self._joins: dict[str, Any] = {
            "together": [tuple(pair) for pair in together],
            "apart": [tuple(pair) for pair in apart],
            "min_joins": _checks.integer("min_joins", min_joins),
            "max_joins": None if max_joins is None else _checks.integer("max_joins", max_joins),
        }

    @abstractmethod
    def answer(self, problem: Problem) -> Plan:
        """The best groups of a problem.

        Raises:
            ValueError: If no groups are within the limits, or the solver does not serve them.
        """

    @abstractmethod
    def best_of(self, problem: Problem, members: np.ndarray, scores: np.ndarray) -> list[int]:
        """Positions of the groups, at most m, whose best scores for every task are best.

        Args:
            problem: Whose limits are kept.
            members: [C, n] bool, groups in lexicographic order.
            scores: [C, n] what they give their tasks, about 1 in size; -inf for others.
        """

    def check_problem(self, problem: Problem) -> None:
        """Refuses a problem that the solver does not serve, whatever its matrix holds."""

    def check(self, tasks: Sequence[str], *, objective: Objective) -> None:
        """Refuses limits that contradict each other, or that no groups of the tasks can meet.

        Where that is not told within seconds, nothing is refused.
        """
        self._check_sign(errors=objective == "hoa", objective=objective)
        zeros = np.zeros((len(tasks), len(tasks)))
        with warnings.catch_warnings():  # which settings have an effect is told when it is solved
            warnings.simplefilter("ignore")
            problem = self._problem(zeros, tasks, self.objective or objective, **self._joins)
        self.check_problem(problem)
        require_groups(problem, Clock(CHECK_SECONDS))

    def solve(self, affinity: Affinity, *, objective: Objective) -> Plan:
        """The best groups by pairwise affinity.

        Raises:
            ValueError: If errors are to be maximised, or what helps to be minimised.
        """
        self._check_sign(errors=affinity.kind == "hoa", objective=objective)
        problem = self._problem(
            affinity.values,
            affinity.tasks,
            self.objective or objective,
            diagonal=self.diagonal,
            singleton_score=self.singleton_score,
            **self._joins,
        )
        return self.answer(problem)

    def allowed_groups(self, tasks: Sequence[str]) -> list[tuple[str, ...]]:
        """Every group of the tasks within sizes, budgets and pairs, in lexicographic order."""
        n = len(tasks)
        problem = self._problem(np.zeros((n, n)), tasks, "best_group", **self._pairs())
        if n > MOST_LISTED:
            raise ValueError(
                f"The groups of at most {MOST_LISTED} tasks can all be listed. Found {n} tasks. "
                f"Leave tasks out, or choose a method that needs no training of all groups."
            )
        members = all_groups(n)
        members = members[allowed(problem, members).any(0)]
        return [tuple(tasks[t] for t in np.flatnonzero(own).tolist()) for own in members]

    def select(
        self, tasks: Sequence[str], groups: Sequence[Sequence[str]], scores: np.ndarray
    ) -> Plan:
        """The best cover by trained groups; those that break the solver's limits are left out."""
        n = len(tasks)
        problem = self._problem(np.zeros((n, n)), tasks, "best_group", **self._pairs())
        sets = [_positions(group, problem.tasks) for group in groups]
        given = _checks.numbers("scores", scores)
        if given.shape != (len(sets), n) or not sets:
            raise ValueError(
                f"`scores` should be {len(sets)} x {n}, candidate groups by tasks, for at least one "
                f"group. Found the shape {given.shape}."
            )
        members = np.array([[t in own for t in range(n)] for own in sets])
        for g, t in np.argwhere(members & ~np.isfinite(given)):
            raise ValueError(
                f"The score of every task in a candidate group should be finite. Found "
                f"{given[g, t]} for task `{problem.tasks[t]}` in group {tuple(groups[g])}."
            )
        if len(set(sets)) < len(sets):
            twice = next(own for own in sets if sets.count(own) > 1)
            names = tuple(problem.tasks[t] for t in twice)
            raise ValueError(f"Candidate groups should be distinct. Found {names} twice.")
        order = sorted(range(len(sets)), key=lambda g: sets[g])
        given, members = np.where(members, given, -np.inf)[order], members[order]
        chosen = self.best_of(problem, members, given / unit(given[members]))
        serves: list[list[int]] = [[] for _ in chosen]
        for t in range(n):
            serves[int(np.argmax(given[chosen, t]))].append(t)
        value = math.fsum(given[chosen].max(0)) / n
        return as_plan(
            problem,
            type(self).__module__.rpartition(".")[2],
            [sets[order[c]] for c in chosen],
            serves,
            value=value,
            bound=value,
            proof=f"the best of {len(sets)} trained groups",
            optimal=True,
        )

    def _check_sign(self, *, errors: bool, objective: Objective) -> None:
        asked = self.objective or objective
        if errors != (asked == "hoa"):
            found = "errors of pairs, which help where they are small," if errors else "what helps"
            raise ValueError(
                f"The objective `hoa` should be used for errors of pairs, and for nothing else. Found "
                f"{found} for `objective = {asked}`. Set solver.objective=null, and the method or the "
                f"affinity to one of the other's kind."
            )

    def _pairs(self) -> dict[str, Any]:
        return {name: self._joins[name] for name in ("together", "apart")}

    def _problem(
        self, matrix: np.ndarray, tasks: Sequence[str], objective: Objective, **more: Any
    ) -> Problem:
        return Problem(matrix, self.num_groups, objective, tasks, **self._sizes, **more)


class TimedSolver(Solver):
    """A solver that stops when its time is up, with the best groups so far and a bound.

    Args:
        num_groups: As all others but the last, see `Solver`.
        time_limit: Seconds.
    """

    def __init__(
        self,
        *,
        num_groups: int = 3,
        objective: Objective | None = None,
        min_size: int = 1,
        max_size: int | None = None,
        partition: bool = False,
        diagonal: Literal["as_given", "zero"] = "as_given",
        singleton_score: float | Literal["diagonal"] = -1e6,
        budgets: Sequence[float] | Sequence[Sequence[float]] | None = None,
        capacities: float | Sequence[float] | None = None,
        together: Pairs = (),
        apart: Pairs = (),
        min_joins: int = 1,
        max_joins: int | None = None,
        time_limit: float = 60.0,
    ) -> None:
        super().__init__(
            num_groups=num_groups,
            objective=objective,
            min_size=min_size,
            max_size=max_size,
            partition=partition,
            diagonal=diagonal,
            singleton_score=singleton_score,
            budgets=budgets,
            capacities=capacities,
            together=together,
            apart=apart,
            min_joins=min_joins,
            max_joins=max_joins,
        )
        self.time_limit = _checks.seconds("time_limit", time_limit)


def _positions(group: Sequence[str], tasks: Sequence[str]) -> tuple[int, ...]:
    if isinstance(group, str) or not group or not set(group) <= set(tasks):
        raise ValueError(
            f"A candidate group should hold tasks out of {', '.join(tasks)}. Found {group!r}."
        )
    return tuple(sorted({tasks.index(task) for task in group}))
