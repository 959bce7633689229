"""Groups within all limits to start from: built item by item and improved, else by SCIP."""

from itertools import combinations

import numpy as np
from ortools.linear_solver.pywraplp import Solver

from mtlrun.solvers._clock import Clock
from mtlrun.solvers._items import keys_of
from mtlrun.solvers._master import Shape, integer_solver
from mtlrun.solvers._served_parts import ServedParts
from mtlrun.solvers._whole_groups import WholeGroups

Family = WholeGroups | ServedParts
UNSERVED = 1e6  # what a task is worth that no group serves, negative
REPAIRS = 60  # flips to make a group differ from the others


def start(
    family: Family, shape: Shape, clock: Clock, rng: np.random.Generator, tries: int
) -> np.ndarray | None:
    """The best of several choices of groups [m, N] that were built and improved; None if none was.

    Args:
        family: What groups are worth.
        shape: What a choice must keep.
        clock: When to stop.
        rng: Draws the orders.
        tries: How many are built.
    """
    kinds = np.repeat(np.arange(len(shape.counts)), shape.counts)
    best, best_value = None, -np.inf
    for attempt in range(tries):
        if clock.over and attempt:
            break
        built = _build(family, shape, kinds, rng, spread=attempt % 2 == 0)
        if built is None:
            continue
        groups, own = built
        improved = improve(family, shape, groups, own, clock)
        value = total(family, improved)
        if value > best_value + 1e-12:
            best, best_value = improved, value
    return best


def total(family: Family, groups: np.ndarray) -> float:
    """The sum over tasks or groups that is to be most."""
    if isinstance(family, ServedParts):
        return float(family.scores(groups).max(0).sum())
    return float(family.worth(groups, np.zeros(family.num_rows)).sum())


def _build(
    family: Family,
    shape: Shape,
    kinds: np.ndarray,
    rng: np.random.Generator,
    *,
    spread: bool,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Places the items one by one; groups [m, N] and their kinds, or None where that failed."""
    items, m = family.items, len(kinds)
    count = len(items)
    x = np.zeros((m, count), dtype=bool)
    rooms = [_Room(items.rows[k], items.most[k]) for k in range(len(shape.counts))]
    conflict = np.zeros((count, count), dtype=bool)
    for a, b in items.apart:
        conflict[a, b] = conflict[b, a] = True

    def room_for(a: int) -> np.ndarray:
        good: np.ndarray = ~x[:, a] & ~(x & conflict[a]).any(1)
        for j in np.flatnonzero(good).tolist():
            good[j] = rooms[kinds[j]].holds(x[j], a)
        return good

    def place(a: int, where: np.ndarray) -> bool:
        options = np.flatnonzero(where)
        if not len(options):
            return False
        rewards = np.zeros(family.num_rows)
        own = x[options]
        gain = family.flipped(own, rewards)[:, a]
        gain[own.any(1)] -= family.worth(own[own.any(1)], rewards)
        noise = rng.random(len(options)) * (0.05 + 0.5 * float(gain.max() - gain.min()))
        x[options[int(np.argmax(gain + noise))], a] = True
        return True

    order = rng.permutation(count)
    if items.most and len(items.most[0]) > 1 and not spread:
        order = order[np.argsort(-np.abs(items.rows[0][-1][order]), kind="stable")]
    if spread or shape.exactly:
        for j, a in enumerate(order[:m].tolist()):
            x[j, a] = room_for(a)[j]
    for _ in range(int(shape.least)):
        for a in order.tolist():
            if x[:, a].sum() < shape.least and not place(a, room_for(a)):
                return None
    few = items.problem.sizes[0]
    for j in range(m):
        while (shape.exactly or x[j].any()) and items.sizes @ x[j] < few:
            joined = x.sum(0)
            options = [a for a in rng.permutation(count).tolist() if room_for(a)[j]]
            free = [a for a in options if joined[a] < shape.most]
            if free:
                x[j, free[0]] = True
                continue
            given = [
                (i, a)
                for a in options
                for i in np.flatnonzero(x[:, a]).tolist()
                if items.sizes @ x[i] - items.sizes[a] >= few
            ]
            if not given:
                return None
            x[given[0][0], given[0][1]] = False
            x[j, given[0][1]] = True
    if shape.distinct and not _separate(family, shape, x, kinds, rng):
        return None
    x, kinds = x[x.any(1)], kinds[x.any(1)]
    good = items.fits(x)[kinds, np.arange(len(x))].all()  # costs below 0 may have moved on
    return (x, kinds) if good else None


class _Room:
    """Whether an item fits in beside others, by the limits that more items may break."""

    def __init__(self, rows: np.ndarray, most: np.ndarray) -> None:
        self.rows, self.most = rows[most >= 0], most[most >= 0]

    def holds(self, group: np.ndarray, item: int) -> bool:
        return bool((self.rows @ group + self.rows[:, item] <= self.most).all())


def _separate(
    family: Family, shape: Shape, x: np.ndarray, kinds: np.ndarray, rng: np.random.Generator
) -> bool:
    """Flips items until no two groups are equal; whether that worked."""
    seen: set[bytes] = set()
    for j in range(len(x)):
        for _ in range(REPAIRS):
            if bytes(keys_of(x[j : j + 1])[0]) not in seen:
                break
            joined = x.sum(0)
            fine = family.items.flips(x[j : j + 1], int(kinds[j]))[0] <= 1e-9
            fine &= np.where(x[j], joined > shape.least, joined < shape.most)
            fine &= ~(x[j] & (family.items.sizes @ x[j] <= family.items.sizes))
            options = np.flatnonzero(fine)
            if not len(options):
                return False
            x[j, rng.choice(options)] ^= True
        key = bytes(keys_of(x[j : j + 1])[0])
        if key in seen:
            return False
        seen.add(key)
    return True


def improve(
    family: Family, shape: Shape, groups: np.ndarray, kinds: np.ndarray, clock: Clock
) -> np.ndarray:
    """Flips and moves single items while that makes groups [m, N] better, within the limits."""
    x = groups.copy()
    while not clock.over:
        fine = np.array(
            [family.items.flips(x[j : j + 1], int(k))[0] <= 1e-9 for j, k in enumerate(kinds)]
        )
        gain = np.where(fine, _flip_gains(family, x), -np.inf)
        joined = x.sum(0)
        flip = np.where(np.where(x, joined > shape.least, joined < shape.most), gain, -np.inf)
        moves: list[tuple[float, list[tuple[int, int]]]] = [
            (float(flip[j, a]), [(j, a)]) for j, a in _top(flip)
        ]
        if isinstance(family, WholeGroups):
            leave, enter = np.where(x, gain, -np.inf), np.where(x, -np.inf, gain)
            both = leave.max(0) + enter.max(0)
            moves += [
                (float(both[a]), [(int(leave[:, a].argmax()), a), (int(enter[:, a].argmax()), a)])
                for a in np.argsort(-both)[:8].tolist()
            ]
        for change, flips in sorted(moves, key=lambda move: -move[0]):
            if not change > 1e-9:
                return x
            for j, a in flips:
                x[j, a] ^= True
            if not shape.distinct or len(set(map(bytes, keys_of(x)))) == len(x):
                break
            for j, a in flips:
                x[j, a] ^= True
        else:
            return x
    return x


def _top(gain: np.ndarray) -> list[tuple[int, int]]:
    best = np.argsort(-gain, axis=None, kind="stable")[:8]
    return [(int(k) // gain.shape[1], int(k) % gain.shape[1]) for k in best]


def _flip_gains(family: Family, x: np.ndarray) -> np.ndarray:
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


def find_any(family: Family, shape: Shape, clock: Clock) -> tuple[np.ndarray | None, bool]:
    """Groups [m, N] within all limits by SCIP, or None; and whether it is proven that there are none."""
    items = family.items
    kinds = np.repeat(np.arange(len(shape.counts)), shape.counts).tolist()
    solver, parameters = integer_solver(clock)
    x = [[solver.BoolVar("") for _ in range(len(items))] for _ in kinds]
    used = [solver.BoolVar("") for _ in kinds]
    for j, kind in enumerate(kinds):
        if shape.exactly:
            solver.Add(used[j] == 1)
        for row, most in zip(items.rows[kind], items.most[kind], strict=True):
            cost = sum(float(c) * v for c, v in zip(row, x[j], strict=True))
            solver.Add(cost <= float(most) * (used[j] if most < 0 else 1))
        for v in x[j]:
            solver.Add(v <= used[j])
        for a, b in items.apart:
            solver.Add(x[j][a] + x[j][b] <= 1)
        if j and kind == kinds[j - 1]:
            solver.Add(sum(x[j]) <= sum(x[j - 1]))
    for a in range(len(items)):
        joined = solver.Sum([own[a] for own in x])
        solver.Add(joined >= shape.least)
        solver.Add(joined <= min(shape.most, len(kinds)))
    while not clock.over:
        solver.SetTimeLimit(max(1, int(1000 * clock.left)))
        status = solver.Solve(parameters)
        if status not in (Solver.OPTIMAL, Solver.FEASIBLE):
            return None, status == Solver.INFEASIBLE
        groups = np.array([[v.solution_value() > 0.5 for v in own] for own in x])
        keys = [bytes(key) for key in keys_of(groups)]
        equal = [(i, j) for i, j in combinations(range(len(x)), 2) if keys[i] == keys[j]]
        if not shape.distinct or not equal:
            return groups[groups.any(1)], False
        for i, j in equal:
            apart = [solver.BoolVar("") for _ in x[i]]
            for z, v, w in zip(apart, x[i], x[j], strict=True):
                solver.Add(z <= v + w)
                solver.Add(z <= 2 - v - w)
            solver.Add(solver.Sum(apart) >= 1)
    return None, False
