"""Groups to start from, or the proof that there are none; and the bound that needs no search."""

import numpy as np

from mtlrun.solvers._clock import Clock
from mtlrun.solvers._family import total
from mtlrun.solvers._feasible import find_any
from mtlrun.solvers._improve import improve
from mtlrun.solvers._master import Shape, choose
from mtlrun.solvers._run import Found, Run
from mtlrun.solvers._served_parts import ServedParts
from mtlrun.solvers._subsets import all_groups
from mtlrun.solvers._whole_groups import WholeGroups

LISTED = 12  # items whose groups are all looked at
STARTS = 8  # choices that are built
NO_TIME = "the time limit came before any bound of the search; by the largest entries"


class NoGroupsError(ValueError):
    """There are no groups within the limits, or none was found in time.

    Args:
        message: For the user.
        proven: Whether there are none.
    """

    def __init__(self, message: str, *, proven: bool) -> None:
        super().__init__(message)
        self.proven = proven


def begin(run: Run) -> None:
    """Finds groups to start from, and the bound that needs no search.

    Raises:
        NoGroupsError: If there are none, or none were found in time.
    """
    if len(run.items) <= LISTED:
        every = all_groups(len(run.items))
        every = every[run.items.fits(every).any(0)]
        if not len(every):
            raise NoGroupsError(
                "No group is within sizes, budgets and pairs. Loosen one of the limits.",
                proven=True,
            )
        run.problem.check_existing(len(every))
        if run.all_known:
            run.learn(every)
    groups = _build(run, run.clock.part(0.1))
    if groups is None:
        groups = _any(run)
    groups = run.needed(groups)
    run.found = Found(groups, total(run.family, groups), plain_bound(run), NO_TIME)
    run.learn(groups)
    _add(run, groups)


def _build(run: Run, clock: Clock) -> np.ndarray | None:
    """The best of several choices that were built and improved; None if none was."""
    best, best_value = None, -np.inf
    for attempt in range(STARTS):
        if clock.over and attempt:
            break
        built = run.builder.build(spread=attempt % 2 == 0)
        if built is not None:
            groups = improve(run.family, run.shape, *built, clock)
            value = total(run.family, groups)
            if value > best_value + 1e-12:
                best, best_value = groups, value
    return best


def _any(run: Run) -> np.ndarray:
    """Some groups within the limits."""
    shape, served = run.shape, isinstance(run.family, ServedParts)
    if run.all_known:
        rows = run.items.tasks(run.known) if served else run.known
        if served:
            shape = Shape(shape.num_rows, 1, np.inf, shape.counts, False, False)
        fits = run.items.fits(run.known)
        choice = choose(shape, rows, np.zeros(len(rows)), fits, run.clock.part(0.5))
        groups = None if choice.chosen is None else run.known[choice.chosen]
        infeasible = choice.infeasible
    else:
        if served:
            shape = Shape(len(run.items), 1, np.inf, shape.counts, False, False)
        groups, infeasible = find_any(run.family, shape, run.clock.part(0.6))
    if groups is None:
        problem = run.problem
        asked = "distinct groups" if shape.exactly else "groups or fewer"
        raise NoGroupsError(
            f"{problem.num_groups} {asked} should cover the {len(problem.matrix)} tasks within "
            f"the limits. Found {'no such groups' if infeasible else 'none in the time'}. "
            f"Set solver.num_groups or loosen sizes or budgets"
            f"{'' if infeasible else ', or raise solver.time_limit'}.",
            proven=infeasible,
        )
    return groups


def _add(run: Run, groups: np.ndarray) -> None:
    """Puts groups that serve every row into the linear program."""
    if isinstance(run.family, WholeGroups):
        run.add(groups)
        return
    given = run.family.scores(groups)
    rows = np.zeros(given.shape, dtype=bool)
    rows[given.argmax(0), np.arange(given.shape[1])] = True
    values = np.where(rows, given, 0.0).sum(1)
    own = rows.any(1)
    run.master.add(groups[own], rows[own], values[own], run.items.fits(groups)[:, own])


def plain_bound(run: Run) -> float:
    """By the largest entries, or the largest eigenvalue, alone."""
    if isinstance(run.family, WholeGroups) and run.family.exactly:
        scaled = run.family.scaled(np.zeros(len(run.items)))
        return sum(run.shape.counts) * float(np.linalg.eigvalsh(scaled)[-1])
    return float(best_scores(run).sum())


def best_scores(run: Run) -> np.ndarray:
    """[R] the most that any group gives."""
    if isinstance(run.family, ServedParts):
        return run.family.most()
    return np.asarray(run.items.members @ ServedParts(run.items).most())
