"""Good choices among known groups: by an integer program, and built around a linear one."""

import numpy as np

from mtlrun.solvers._clock import Clock
from mtlrun.solvers._improve import improve
from mtlrun.solvers._items import keys_of
from mtlrun.solvers._master import Duals, choose
from mtlrun.solvers._run import Run
from mtlrun.solvers._served import choose_serving
from mtlrun.solvers._served_parts import ServedParts

FEW = 400  # groups of a first integer program
FUTILE = 150  # choices built in a row that are no better


def guess(run: Run) -> None:
    """Looks for good choices among known groups and around them."""
    settle(run, run.clock.part(0.05), np.inf, FEW)
    if run.linear - run.found.value > run.close:
        _build(run, run.clock.part(0.06))
        settle(run, run.clock.part(0.08), np.inf, FEW)


def settle(run: Run, clock: Clock, slack: float, most: int) -> float:
    """Takes the best choice among known groups that cost at most `slack` more than their worth.

    Args:
        run: Whose.
        clock: When to stop.
        slack: In units of the largest entry.
        most: Of so many groups, the best by that measure.

    Returns:
        A bound of all choices among known groups within the slack.
    """
    if run.duals is None:
        return np.inf
    gain = run.excess(run.duals)
    fine = np.flatnonzero(gain >= -slack - 1e-9)
    order = np.argsort(-gain[fine], kind="stable")[:most]
    groups = run.known[np.sort(fine[order])]
    hint = _places(run, groups)
    fits = run.items.fits(groups)
    if isinstance(run.family, ServedParts):
        given = run.family.scores(groups)
        useful = given + run.duals.rewards >= -slack - 1e-9
        choice = choose_serving(given, fits, run.shape.counts, clock, useful=useful, hint=hint)
    else:
        rows, values = run.family.columns(groups, run.duals.rewards)
        choice = choose(run.shape, rows, values, fits, clock, hint=hint)
    if choice.chosen is not None:
        run.take(groups[choice.chosen])
    run.settled = len(run.known)
    if choice.infeasible:
        return -np.inf
    return choice.bound if len(order) == len(fine) else np.inf


def _places(run: Run, groups: np.ndarray) -> list[int] | None:
    """The positions of the best choice so far among groups, if all are there."""
    places = {bytes(key): k for k, key in enumerate(keys_of(groups))}
    own = [places.get(bytes(key)) for key in keys_of(run.found.groups)]
    return None if None in own else [k for k in own if k is not None]


def _build(run: Run, clock: Clock) -> None:
    """Builds choices from groups that the linear program takes parts of, or most of the best ones."""
    duals = run.duals
    if duals is None:
        return
    futile = 0
    while futile < FUTILE and not clock.over and run.linear - run.found.value > run.close:
        begun = _drawn(run, duals) if run.rng.random() < 0.5 else _most_of_best(run)
        built = run.builder.build(begun)
        before = run.found.value
        if built is not None:
            better = improve(run.family, run.shape, *built, clock)
            run.learn(better)
            run.take(better)
        futile = 0 if run.found.value > before else futile + 1


def _drawn(run: Run, duals: Duals) -> np.ndarray:
    """[m, N] groups of the linear program that may be chosen together, drawn by their weights."""
    places = np.flatnonzero(duals.weights > 1e-6)
    groups, weights = np.array(run.master.groups)[places], duals.weights[places]
    fits = run.items.fits(groups)
    chance = np.log(weights) + run.rng.gumbel(size=len(weights))
    begun = np.zeros((len(run.builder.kinds), len(run.items)), dtype=bool)
    for k in np.argsort(-chance).tolist():
        clash = (begun.sum(0) + groups[k] > run.shape.most).any()
        free = np.flatnonzero(~begun.any(1) & fits[run.builder.kinds, k])
        if len(free) and not clash and not (begun == groups[k]).all(1).any():
            begun[free[0]] = groups[k]
    if run.shape.most == 1 and run.rng.random() < 0.5:  # leave room for others
        begun[run.rng.random(len(begun)) < 0.3] = False
    return begun


def _most_of_best(run: Run) -> np.ndarray:
    """[m, N] the best groups so far, but for some, in slots that they fit."""
    groups = run.found.groups
    fits = run.items.fits(groups)
    begun = np.zeros((len(run.builder.kinds), len(run.items)), dtype=bool)
    kept = run.rng.random(len(groups)) > min(0.5, 3 / len(groups))
    for k in np.flatnonzero(kept).tolist():
        free = np.flatnonzero(~begun.any(1) & fits[run.builder.kinds, k])
        if len(free):
            begun[free[0]] = groups[k]
    return begun
