"""Groups within all limits, built item by item."""

import numpy as np

from mtlrun.solvers._family import Family
from mtlrun.solvers._items import keys_of
from mtlrun.solvers._master import Shape

REPAIRS = 60  # flips to make a group differ from the others


class Builder:
    """Places items into groups, each where it is worth most, with some chance.

    Args:
        family: What groups are worth.
        shape: What a choice of groups must keep.
        rng: Draws orders and chances.
    """

    def __init__(self, family: Family, shape: Shape, rng: np.random.Generator) -> None:
        self.family, self.shape, self.rng = family, shape, rng
        self.kinds = np.repeat(np.arange(len(shape.counts)), shape.counts)
        items = family.items
        self._conflict = np.zeros((len(items), len(items)), dtype=bool)
        for a, b in items.apart:
            self._conflict[a, b] = self._conflict[b, a] = True
        upper = [most >= 0 for most in items.most]  # limits that more items may break
        self._rows = [rows[own] for rows, own in zip(items.rows, upper, strict=True)]
        self._most = [most[own] for most, own in zip(items.most, upper, strict=True)]

    def build(
        self, begun: np.ndarray | None = None, *, spread: bool = True
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Groups [m, N] and the kinds of their slots [m], or None where that failed.

        Args:
            begun: [m, N] to go on from, a row for each slot.
            spread: Whether every group gets an item first.
        """
        items, shape = self.family.items, self.shape
        x = np.zeros((len(self.kinds), len(items)), dtype=bool) if begun is None else begun.copy()
        order = self.rng.permutation(len(items))
        if len(self._rows[0]) and not spread:
            order = order[np.argsort(-np.abs(self._rows[0][-1][order]), kind="stable")]
        if spread or shape.exactly:
            left = [a for a in order.tolist() if x[:, a].sum() < shape.least]
            for j, a in zip(np.flatnonzero(~x.any(1)).tolist(), left, strict=False):
                x[j, a] = self._room(x, a)[j]
        for _ in range(int(shape.least)):
            for a in order.tolist():
                if x[:, a].sum() < shape.least and not self._place(x, a):
                    return None
        if not self._fill(x) or (shape.distinct and not self._separate(x)):
            return None
        used = x.any(1)
        x, kinds = x[used], self.kinds[used]
        good = items.fits(x)[kinds, np.arange(len(x))].all()  # costs below 0 may have moved on
        return (x, kinds) if good else None

    def _room(self, x: np.ndarray, a: int) -> np.ndarray:
        """[m] the groups that an item may join."""
        good: np.ndarray = ~x[:, a] & ~(x & self._conflict[a]).any(1)
        for kind, (rows, most) in enumerate(zip(self._rows, self._most, strict=True)):
            own = self.kinds == kind
            good[own] &= (x[own] @ rows.T + rows[:, a] <= most).all(1)
        return good

    def _place(self, x: np.ndarray, a: int) -> bool:
        """Puts an item where it is worth most; whether there was room."""
        options = np.flatnonzero(self._room(x, a))
        if not len(options):
            return False
        rewards = np.zeros(self.family.num_rows)
        own = x[options]
        gain = self.family.flipped(own, rewards)[:, a]
        gain[own.any(1)] -= self.family.worth(own[own.any(1)], rewards)
        chance = self.rng.random(len(options)) * (0.05 + 0.5 * float(gain.max() - gain.min()))
        x[options[int(np.argmax(gain + chance))], a] = True
        return True

    def _fill(self, x: np.ndarray) -> bool:
        """Brings small groups to the least size, from free items or those of others; whether it could."""
        items, shape = self.family.items, self.shape
        few = items.problem.sizes[0]
        for j in range(len(x)):
            while (shape.exactly or x[j].any()) and items.sizes @ x[j] < few:
                joined = x.sum(0)
                every = self.rng.permutation(len(items)).tolist()
                options = [a for a in every if self._room(x, a)[j]]
                free = [a for a in options if joined[a] < shape.most]
                if free:
                    x[j, free[0]] = True
                    continue
                givers = [
                    (i, a)
                    for a in options
                    for i in np.flatnonzero(x[:, a]).tolist()
                    if items.sizes @ x[i] - items.sizes[a] >= few
                ]
                if not givers:
                    return False
                i, a = givers[0]
                x[i, a], x[j, a] = False, True
        return True

    def _separate(self, x: np.ndarray) -> bool:
        """Flips items until no two groups are equal; whether that worked."""
        items, shape = self.family.items, self.shape
        seen: set[bytes] = set()
        for j in range(len(x)):
            for _ in range(REPAIRS):
                if bytes(keys_of(x[j : j + 1])[0]) not in seen:
                    break
                joined = x.sum(0)
                fine = items.flips(x[j : j + 1], int(self.kinds[j]))[0] <= 1e-9
                fine &= np.where(x[j], joined > shape.least, joined < shape.most)
                fine &= ~(x[j] & (items.sizes @ x[j] <= items.sizes))
                options = np.flatnonzero(fine)
                if not len(options):
                    return False
                x[j, self.rng.choice(options)] ^= True
            key = bytes(keys_of(x[j : j + 1])[0])
            if key in seen:
                return False
            seen.add(key)
        return True
