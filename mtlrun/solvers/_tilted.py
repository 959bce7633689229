"""Duals between those with the lowest bound and those at which a relaxation prices groups best."""

from dataclasses import replace

import numpy as np

from mtlrun.solvers._master import Duals
from mtlrun.solvers._run import Run

ROOM = 0.15  # of a bound's distance from the lowest one, that is left for the price


def tilted(run: Run, duals: Duals, extra: float) -> Duals:
    """Duals whose bound is that of given ones with an extra on their prices, if no unknown group exceeds it.

    The given ones have the lowest bound where all groups that exceed their price are known. To prove
    that, they must be listed, and at the rewards of a semidefinite program this takes far fewer nodes,
    though their own bound is higher. The bound is convex in the rewards; so the nearer to it a
    threshold is, the nearer to the given rewards these are.

    Args:
        run: Its `tilt` are those rewards; without them prices alone differ.
        duals: The given ones.
        extra: On their prices.

    Returns:
        Duals of the same bound by the known groups. A complete listing above their prices proves it.
    """
    if run.tilt is not None and len(duals.prices) == 1:
        low, target = run.bound_at(duals), run.bound_at(duals, extra)
        room = (1 - ROOM) * max(target - low, 0.0)
        further = _bound_at_best_price(run, run.tilt) - low
        share = 1.0 if further <= room else room / further
        rewards = duals.rewards + share * (run.tilt - duals.rewards)
        price = _price(run, rewards, target)
        if price is not None:
            return replace(duals, rewards=rewards, prices=np.array([price]))
    return duals.raised(extra)


def _bound_at_best_price(run: Run, rewards: np.ndarray) -> float:
    """The lowest bound that rewards have by the known groups."""
    worth = np.sort(run.family.worth(run.known, rewards))[::-1]
    return float(worth[: sum(run.shape.counts)].sum()) - run.shape.charge(rewards)


def _price(run: Run, rewards: np.ndarray, target: float) -> float | None:
    """The highest price with a bound; None where it is below all that the rewards have.

    With k known groups above a price p, the bound is their worth + (m - k) p less what rewards cost.
    """
    count = sum(run.shape.counts)
    worth = np.sort(run.family.worth(run.known, rewards))[::-1]
    left = target + run.shape.charge(rewards)
    for k in range(count):
        price = left / (count - k)
        next_worth = worth[k] if k < len(worth) else -np.inf
        if price >= next_worth:
            return float(price)
        left -= float(next_worth)
    return None
