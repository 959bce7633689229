"""Bounds by exact listings, down to the value of the best groups or as far as the time lasts."""

import numpy as np

from mtlrun.solvers._begin import best_scores
from mtlrun.solvers._choosing import FEW, settle
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._descent import CUTS, Descent, cuts_for
from mtlrun.solvers._lister import list_nonnegative
from mtlrun.solvers._master import Duals
from mtlrun.solvers._pricing import approach
from mtlrun.solvers._relaxation import LEAST_TIME, Relaxation
from mtlrun.solvers._run import Run
from mtlrun.solvers._size_bound import size_bound
from mtlrun.solvers._spectral import copositive_bound
from mtlrun.solvers._tilted import tilted
from mtlrun.solvers._whole_groups import WholeGroups

NEW = 2_000  # groups that a listing may find before the linear program is solved anew
MOST = 20_000  # groups of any integer program
RELAXED = 0.3  # share of the time for bounds without listings
MANY = 90  # items of which no listing is short enough to do without cuts
ABOVE_LEAST = 1.1  # times the lowest threshold, from which a listing at it is still tried
FIRST_TRY = 0.04  # share of the time that the first exact listing gets


def prove(run: Run) -> None:
    """Lowers the bound, by exact listings, to the value or as far as the time lasts."""
    converged = _converge(run, Clock(0.92 * run.clock.left))
    if run.best:
        return
    if converged:
        _close_gap(run, Clock(0.95 * run.clock.left))
    elif len(run.known) > run.settled:
        settle(run, run.clock.part(0.8), run.found.bound - run.found.value, FEW)


def _converge(run: Run, clock: Clock) -> bool:
    """Solves the linear program over all groups; whether that was proven."""
    while run.duals is not None and not clock.over:
        complete, learned = False, 0
        if run.priced:
            complete, learned = _list(run, run.duals.raised(run.least_gain), clock.part(FIRST_TRY))
        if complete and not learned:
            bound = run.bound_at(run.duals, run.least_gain)
            run.lower(bound, "linear program over all groups")
            return True
        if not learned:
            complete, learned = _descend(run, clock)
        if not learned and (run.priced or not complete):
            return complete
        approach(run, clock)
    return False


def _list(
    run: Run, duals: Duals, clock: Clock, *, cuts: int = 0, most: int = NEW
) -> tuple[bool, int]:
    """Learns every group worth more than its price; whether these are all, and how many are new."""
    if run.all_known:
        return True, 0
    learned = 0
    for kind, price in enumerate(duals.prices.tolist()):
        form = run.family.form(duals.rewards, price, kind)
        listing = list_nonnegative(form, clock, most=most, num_cuts=cuts)
        run.nodes += listing.nodes
        run.preparing_seconds += listing.preparing_seconds
        groups = run.family.groups_of(listing.vectors)
        if len(groups):
            enough = run.family.worth(groups, duals.rewards) >= price - 1e-9
            learned += run.learn(groups[enough])
        if not listing.complete:
            return False, learned
    return True, learned


def _descend(run: Run, clock: Clock) -> tuple[bool, int]:
    """Lists at falling thresholds above the best duals' bound; each complete listing proves it.

    Returns:
        Whether no unknown group is worth more than its price at the best duals, and how many groups
        that are worth more came up.
    """
    assert run.duals is not None
    if not run.relaxed:
        _relax(run, clock)
    if run.center is not None and run.bound_at(run.center) < run.bound_at(run.duals):
        run.duals = run.center
    duals, least = run.duals, run.least_gain
    above = float((_top_worth(run, duals, clock.part(0.1)) - duals.prices).max())
    run.lower(run.bound_at(duals, max(above, least)), "a relaxation without limits")
    if above <= least:
        return True, 0
    # Listings above this threshold would not lower the bound
    useful = (run.found.bound - run.bound_at(duals)) / sum(run.shape.counts)
    cuts = CUTS if run.family.exactly and len(run.items) >= MANY else 0
    descent = Descent(max(min(above, useful), ABOVE_LEAST * least), least, clock, cuts=cuts)
    while descent.worthwhile and not run.best:
        known, nodes, seconds = len(run.known), run.nodes, run.preparing_seconds
        is_last = descent.extra <= least
        at = duals.raised(least) if is_last else tilted(run, duals, descent.extra)
        complete, learned = _list(run, at, clock.part(descent.share), cuts=descent.cuts)
        if complete:
            run.lower(run.bound_at(at), "listing above a threshold")
        if learned and run.excess(duals)[known:].max() > least:
            return False, learned
        if is_last and (complete or descent.cuts):
            return complete, 0
        descent.note(complete, run.nodes - nodes, run.preparing_seconds - seconds)
    return False, 0


def _relax(run: Run, clock: Clock) -> None:
    """Lowers the bound by what needs no listing."""
    run.relaxed = True
    if not run.family.exactly:
        bound = size_bound(run.items, sum(run.shape.counts), clock.part(RELAXED))
        run.lower(bound, "how many tasks groups of each size serve")
    elif run.center is not None:
        programs = [True, False] if run.shape.once else [False]
        if RELAXED * clock.left / len(programs) < LEAST_TIME:
            del programs[1:]
        for disjoint in programs:
            program = relaxation(run, disjoint=disjoint)
            part = clock.part(RELAXED / len(programs))
            bound = program.bound(run.center.rewards, part, value=run.found.value)
            run.lower(bound, "a semidefinite program")
            if np.isfinite(bound) and not disjoint:
                run.tilt = program.rewards


def relaxation(run: Run, *, disjoint: bool) -> Relaxation:
    """The semidefinite program of whole groups, for "gain"."""
    family, items, shape = run.family, run.items, run.shape
    assert isinstance(family, WholeGroups)
    rows, most = items.common_limits()
    return Relaxation(
        family.matrix,
        items.sizes,
        sum(shape.counts),
        least=shape.least,
        once=shape.once,
        disjoint=disjoint,
        rows=rows,
        most=most,
        apart=items.apart,
    )


def _top_worth(run: Run, duals: Duals, clock: Clock) -> float:
    """No group is worth more."""
    family = run.family
    if not isinstance(family, WholeGroups) or not family.exactly:
        return float(np.maximum(best_scores(run) + duals.rewards, 0.0).sum())
    return copositive_bound(family.scaled(duals.rewards), clock)[0]


def _close_gap(run: Run, clock: Clock) -> None:
    """Chooses among all groups that could be in a better choice, the likeliest first.

    Where the linear program is worth z, a choice with a group that costs g more than it is worth is
    worth z - g at most.
    """
    assert run.duals is not None
    gain = np.sort(run.excess(run.duals))[::-1]
    slack = max(-float(gain[min(FEW, len(gain)) - 1]), run.close)
    linear = run.bound_at(run.duals, run.least_gain)  # every group worth more, at these, is known
    while not clock.over:
        slack = max(min(slack, linear - run.found.value), run.close)
        cuts = cuts_for(run.nodes)
        below = run.duals.raised(-slack - 1e-9)
        complete, _ = _list(run, below, clock.part(0.7), cuts=cuts, most=MOST)
        bound = settle(run, clock.part(0.9), slack, MOST if complete else FEW)
        if not complete:
            return
        linear = run.bound_at(run.duals)
        run.lower(max(bound, linear - slack), "integer program over all groups that matter")
        if run.best or slack >= linear - run.found.value or bound == np.inf:
            return
        slack *= 2
