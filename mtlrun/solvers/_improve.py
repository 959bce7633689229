"""Groups made better by flips, moves and swaps of single items."""

import numpy as np

from mtlrun.solvers._clock import Clock
from mtlrun.solvers._family import Family
from mtlrun.solvers._items import keys_of
from mtlrun.solvers._master import Shape
from mtlrun.solvers._whole_groups import WholeGroups

UNSERVED = 1e6  # what a task is worth that no group serves, negative
TRIED = 8  # of the best steps, in turn
LEAST = 1e-9  # that a step should gain

Step = tuple[float, list[tuple[int, int]]]  # what it gains, and the (group, item) flips


def improve(
    family: Family, shape: Shape, groups: np.ndarray, kinds: np.ndarray, clock: Clock
) -> np.ndarray:
    """Groups [m, N] after steps that make them better, until there is none.

    Args:
        family: What groups are worth.
        shape: What they must keep.
        groups: [m, N] within all limits.
        kinds: [m] of their slots.
        clock: When to stop.
    """
    x = groups.copy()
    while not clock.over:
        gain = np.where(_fine(family, x, kinds), _gains(family, x), -np.inf)
        steps = _flips(shape, x, gain)
        if isinstance(family, WholeGroups):
            steps += _moves(x, gain)
        if not _take(shape, x, steps):
            if not isinstance(family, WholeGroups) or shape.most > 1:
                return x
            if not _swap(family, x, kinds):
                return x
    return x


def _fine(family: Family, x: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """[m, N] whether a group keeps its limits after a flip."""
    fine = np.zeros(x.shape, dtype=bool)
    for kind in np.unique(kinds).tolist():
        fine[kinds == kind] = family.items.flips(x[kinds == kind], kind) <= LEAST
    return fine


def _gains(family: Family, x: np.ndarray) -> np.ndarray:
    """[m, N] how much better all groups are after one flip."""
    if isinstance(family, WholeGroups):
        zero = np.zeros(family.num_rows)
        return np.asarray(family.flipped(x, zero) - family.worth(x, zero)[:, None])
    given = family.scores(x)
    now = given.max(0).sum()
    gains = []
    for j in range(len(x)):
        others = np.delete(given, j, 0).max(0, initial=-UNSERVED)
        gains.append(others.sum() + family.flipped(x[j : j + 1], -others)[0] - now)
    return np.array(gains)


def _flips(shape: Shape, x: np.ndarray, gain: np.ndarray) -> list[Step]:
    """An item joins or leaves a group."""
    joined = x.sum(0)
    flip = np.where(np.where(x, joined > shape.least, joined < shape.most), gain, -np.inf)
    best = np.argsort(-flip, axis=None, kind="stable")[:TRIED]
    return [
        (float(flip[j, a]), [(int(j), int(a))])
        for j, a in zip(*np.divmod(best, x.shape[1]), strict=True)
    ]


def _moves(x: np.ndarray, gain: np.ndarray) -> list[Step]:
    """An item leaves one group for another."""
    leave, enter = np.where(x, gain, -np.inf), np.where(x, -np.inf, gain)
    both = leave.max(0) + enter.max(0)
    return [
        (float(both[a]), [(int(leave[:, a].argmax()), a), (int(enter[:, a].argmax()), a)])
        for a in np.argsort(-both, kind="stable")[:TRIED].tolist()
    ]


def _take(shape: Shape, x: np.ndarray, steps: list[Step]) -> bool:
    """Takes the best step that leaves groups distinct where they must be; whether there was one."""
    for gain, flips in sorted(steps, key=lambda step: -step[0]):
        if not gain > LEAST:
            return False
        for j, a in flips:
            x[j, a] ^= True
        if not shape.distinct or len(set(map(bytes, keys_of(x)))) == len(x):
            return True
        for j, a in flips:
            x[j, a] ^= True
    return False


def _swap(family: WholeGroups, x: np.ndarray, kinds: np.ndarray) -> bool:
    """Takes the best swap of two items of a partition; whether there was one."""
    after = family.swapped(x)  # [N, N] the worth of i's group with k for i
    own = family.worth(x, np.zeros(family.num_rows))[x.argmax(0)]
    gain = after + after.T - own[:, None] - own
    gain[x.argmax(0)[:, None] == x.argmax(0)] = -np.inf
    for place in np.argsort(-gain, axis=None, kind="stable")[: 2 * TRIED : 2]:
        i, k = divmod(int(place), x.shape[1])
        if not gain[i, k] > LEAST:
            return False
        pair = [int(x[:, i].argmax()), int(x[:, k].argmax())]
        x[np.ix_(pair, [i, k])] ^= True
        if family.items.fits(x[pair])[kinds[pair], [0, 1]].all():
            return True
        x[np.ix_(pair, [i, k])] ^= True
    return False
