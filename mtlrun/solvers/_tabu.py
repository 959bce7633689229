"""Groups that are worth much at given rewards, by tabu search from many starts at once."""

import numpy as np

from mtlrun.solvers._clock import Clock
from mtlrun.solvers._family import Family
from mtlrun.solvers._items import unique_groups

TENURE = 6  # moves before an item may flip back, at least


def search(
    family: Family,
    rewards: np.ndarray,
    price: float,
    kind: int,
    starts: np.ndarray,
    *,
    steps: int,
    rng: np.random.Generator,
    clock: Clock,
) -> np.ndarray:
    """[K, N] distinct groups within the limits that were met and are worth more than a price.

    Args:
        family: What a group is worth.
        rewards: [R].
        price: Of a slot.
        kind: Of the slot, whose limits are kept.
        starts: [S, N] groups to start from.
        steps: Moves of each.
        rng: Draws the lengths of the tabu lists.
        clock: When to stop.
    """
    x = starts.copy()
    lines = np.arange(len(x))
    until = np.zeros(x.shape, dtype=np.int64)
    scale = 1.0 + float(np.abs(rewards).max(initial=0.0))
    best = np.full(len(x), -np.inf)
    found = [np.zeros((0, x.shape[1]), dtype=bool)]
    for step in range(steps):
        if clock.over:
            break
        worth = family.flipped(x, rewards)
        broken = family.items.flips(x, kind)
        good = (broken <= 1e-9) & (worth > price)
        found.append(_best_flips(x, np.where(good, worth, -np.inf)))
        score = worth - 2 * scale * broken
        free = (until <= step) | ((score > best[:, None] + 1e-12) & (broken <= 1e-9))
        score = np.where(free, score, -np.inf)
        item = score.argmax(1)
        moved = score[lines, item] > -np.inf
        rows, items = lines[moved], item[moved]
        x[rows, items] ^= True
        until[rows, items] = step + TENURE + rng.integers(0, TENURE, size=len(rows))
        best[rows] = np.maximum(best[rows], score[rows, items])
    return unique_groups(np.concatenate(found))


def _best_flips(x: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """The groups after each one's best two flips, by worth [S, N]; -inf for none."""
    count = min(2, x.shape[1])
    items = np.argpartition(-worth, count - 1, axis=1)[:, :count]
    lines = np.repeat(np.arange(len(x)), count)
    items = items.ravel()
    good = worth[lines, items] > -np.inf
    groups = x[lines[good]]
    groups[np.arange(len(groups)), items[good]] ^= True
    return np.asarray(groups)
