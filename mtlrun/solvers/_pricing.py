"""The linear program over groups that a tabu search finds, until it finds no more."""

import numpy as np

from mtlrun.solvers import _tabu
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._items import unique_groups
from mtlrun.solvers._master import Duals
from mtlrun.solvers._run import BATCH, Run
from mtlrun.solvers._served_parts import ServedParts

PULL = 0.8  # of the best duals so far on those that groups are sought at


def price(run: Run) -> None:
    """Adds groups that are worth more than they cost."""
    approach(run, run.clock.part(0.35))


def approach(run: Run, clock: Clock) -> None:
    """Adds groups until the search finds none that are worth more than they cost.

    The linear program's duals wander; groups are sought at a mean with the best so far.
    """
    if run.center is None:
        run.center = _first_duals(run, clock)
    pull, run.priced = PULL, False
    while not clock.over:
        run.duals = run.master.solve(clock) or run.duals
        if run.duals is None:
            return
        if run.all_known:
            run.priced = not run.add(run.best_known())
            if run.priced:
                return
            continue
        mean = _mean(run.duals, run.center, pull)
        learned = _search(run, mean, clock)
        bound = run.bound_at(mean)
        if bound < run.center.value:
            run.center = Duals(bound, mean.rewards, mean.prices, mean.weights)
        if run.add(run.best_known()):
            pull = min(PULL, pull + 0.1)
        elif pull > 0:
            pull = pull / 2 if pull > 0.2 else 0.0
        elif not learned:
            run.priced = True
            return


def _mean(duals: Duals, center: Duals, pull: float) -> Duals:
    return Duals(
        np.inf,
        pull * center.rewards + (1 - pull) * duals.rewards,
        pull * center.prices + (1 - pull) * duals.prices,
        duals.weights,
    )


def _first_duals(run: Run, clock: Clock) -> Duals:
    """Rewards against what the found groups lose without an item, and prices to match."""
    groups, family = run.found.groups, run.family
    if isinstance(family, ServedParts):
        rewards = -family.scores(groups).max(0)
    else:
        zero = np.zeros(family.num_rows)
        worth = family.worth(groups, zero)
        left = np.where(groups, family.flipped(groups, zero), np.inf)
        lost = np.where(
            np.isfinite(left), worth[:, None] - left, np.where(groups, worth[:, None], np.inf)
        )
        rewards = -lost.min(0)
    if run.shape.most >= sum(run.shape.counts):
        rewards = np.maximum(rewards, 0.0)
    own = family.worth(groups, rewards)
    lowest = -np.inf if run.shape.exactly else 0.0  # where slots may stay empty
    prices = np.full(len(run.shape.counts), max(float(np.median(own)), lowest))
    duals = Duals(np.inf, rewards, prices, np.zeros(0))
    _search(run, duals, clock)
    known = np.sort(family.worth(run.known, rewards))[::-1]
    price = known[min(len(known), sum(run.shape.counts)) - 1]
    prices = np.full(len(prices), max(float(price), lowest))
    duals = Duals(np.inf, rewards, prices, np.zeros(0))
    return Duals(run.bound_at(duals), rewards, prices, np.zeros(0))


def _search(run: Run, duals: Duals, clock: Clock) -> int:
    """Learns groups that a search finds to be worth more than they cost; how many."""
    learned, count = 0, len(run.items)
    basis = np.array(run.master.groups)[: len(duals.weights)][duals.weights > 1e-9]
    basis = unique_groups(np.concatenate([basis.reshape(-1, count), run.found.groups]))
    for kind, price in enumerate(duals.prices):
        if clock.over:
            break
        random = run.rng.random((12, count)) < run.rng.random((12, 1)) ** 2
        groups = _tabu.search(
            run.family,
            duals.rewards,
            float(price) + run.least_gain,
            kind,
            np.concatenate([basis[run.items.fits(basis)[kind]][:36], random]),
            steps=20 + count,
            rng=run.rng,
            clock=clock,
        )
        groups = groups[run.unknown(groups)]
        worth = run.family.worth(groups, duals.rewards) if len(groups) else np.zeros(0)
        learned += run.learn(groups[np.argsort(-worth, kind="stable")[:BATCH]])
    return learned
