"""Dynamic programs over sets of tasks, with traceback to the first of equally good solutions."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np

BLOCK = 1 << 19  # entries of a table that is made piece by piece


class Slots:
    """How many slots of each kind are left, numbered from 0 (none) to `full` (all).

    Args:
        counts: Slots of each kind.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.left = np.array(list(product(*(range(count + 1) for count in counts))))  # [U, kinds]
        self.full = len(self.left) - 1
        radices = np.array([count + 1 for count in counts])
        self.strides = [int(radices[kind + 1 :].prod()) for kind in range(len(counts))]
        # States in which a slot of a kind is left, and those after taking it
        self.open: list[slice | np.ndarray] = [slice(1, None)]
        self.taken: list[slice | np.ndarray] = [slice(0, -1)]
        if len(counts) > 1:
            rows = [np.flatnonzero(self.left[:, kind]) for kind in range(len(counts))]
            self.open = list(rows)
            self.taken = [own - step for own, step in zip(rows, self.strides, strict=True)]

    def spend(self, state: int, allowed: np.ndarray) -> list[tuple[int, int]]:
        """(kind, state after) for each allowed kind [kinds] of which a slot is left."""
        return [
            (kind, state - stride)
            for kind, stride in enumerate(self.strides)
            if allowed[kind] and self.left[state, kind]
        ]


def best_selection(
    values: np.ndarray,
    masks: np.ndarray,
    allowed: np.ndarray,
    slots: Slots,
    *,
    joins: tuple[int, int],
    num_tasks: int,
    tolerance: float,
) -> list[int] | None:
    """One group for every slot, all distinct, every task in `joins` of them, the sum of values most.

    Args:
        values: [C] of the groups.
        masks: [C] in lexicographic order.
        allowed: [kinds, C] whether a group may take a slot.
        slots: To be filled.
        joins: The least and the largest number of groups that a task is in.
        num_tasks: n.
        tolerance: Values that differ by less are equal.

    Returns:
        Of the best choices the lexicographically first, as sorted positions; None if there is none.
    """
    join = Joins(joins, int(slots.left[slots.full].sum()), num_tasks)
    size = join.num_states
    best = np.full((slots.full + 1, size + 1), -np.inf)  # the last column: a limit is broken
    best[0, :size][join.satisfied] = 0.0
    takes = np.empty((len(values), allowed.shape[0], slots.full + 1, -(-size // 8)), np.uint8)
    take = np.zeros((allowed.shape[0], slots.full + 1, size), dtype=bool)
    for i in reversed(range(len(values))):
        after = best[:, join.after(int(masks[i]))]
        after += values[i]
        take[:] = False
        kinds = np.flatnonzero(allowed[:, i])
        for kind in kinds:
            reach = best[slots.open[kind], :size]
            best[slots.open[kind], :size] = np.maximum(reach, after[slots.taken[kind]])
        for kind in kinds:
            reach = best[slots.open[kind], :size]
            take[kind, slots.open[kind]] = after[slots.taken[kind]] >= reach - tolerance
        takes[i] = np.packbits(take, axis=-1)
    if best[slots.full, 0] == -np.inf:
        return None
    chosen, states, at = [], {slots.full}, 0
    for i in range(len(values)):
        bit = 128 >> (at & 7)
        nexts = {
            after
            for state in states
            for kind, after in slots.spend(state, allowed[:, i])
            if takes[i, kind, state, at >> 3] & bit
        }
        if nexts:
            chosen.append(i)
            states, at = nexts, int(join.after(int(masks[i]))[at])
    return chosen


class Joins:
    """How many groups every task is in so far, counted as far as it matters.

    Args:
        limits: The least and the largest number of groups that a task should be in.
        num_groups: Of a solution.
        num_tasks: n.
    """

    def __init__(self, limits: tuple[int, int], num_groups: int, num_tasks: int) -> None:
        least, most = limits
        self.limited = most < num_groups
        radix = counted(limits, num_groups)
        self.num_states = radix**num_tasks
        powers = radix ** np.arange(num_tasks)
        joined = np.arange(self.num_states)[:, None] // powers % radix  # [S, n]
        self.satisfied = (joined >= least).all(1)
        self._full = (joined == radix - 1) @ (1 << np.arange(num_tasks))
        self._steps = (np.arange(1 << num_tasks)[:, None] >> np.arange(num_tasks) & 1) @ powers
        self._states = np.arange(self.num_states)

    def after(self, mask: int) -> np.ndarray:
        """[S] the state after one more group; S where a task is then in too many."""
        full = self._full & mask
        after = self._states + self._steps[mask & ~full]
        return np.asarray(np.where(full != 0, self.num_states, after) if self.limited else after)


def counted(limits: tuple[int, int], num_groups: int) -> int:
    """How many numbers of groups that a task may be in so far need telling apart."""
    least, most = limits
    return (most if most < num_groups else least) + 1


def best_cover(
    scores: np.ndarray,
    masks: np.ndarray,
    allowed: np.ndarray,
    slots: Slots,
    *,
    tolerance: float,
    partition: bool,
) -> list[int] | None:
    """At most one group for each slot, the sum over tasks of the best score most.

    A solution splits the tasks into parts, each of which one group that holds it serves. So the
    value of a part is that of its best group, and a solution is a set partition of least cost.

    Args:
        scores: [C, n] what a group gives its tasks; -inf for others.
        masks: [C] in lexicographic order.
        allowed: [kinds, C] whether a group may take a slot.
        slots: To be filled.
        tolerance: Values that differ by less are equal.
        partition: Whether a group serves all of its tasks, so that none overlap.

    Returns:
        Of the best choices those of the fewest groups, of them the lexicographically first, as
        sorted positions; None if no choice covers all tasks.
    """
    num_tasks = scores.shape[1]
    table = _PartSums(scores, masks, partition=partition)
    # [U, 2^n] the best value of serving a set with the slots that are left
    best = _serve(table.best_of_parts(allowed), slots, num_tasks)
    target = best[slots.full, -1] - tolerance
    if target == -np.inf:
        return None
    left = slots.left.sum(1)
    fewest = left[best[:, -1] >= target].min()
    states = {int(u) for u in np.flatnonzero((left == fewest) & (best[:, -1] >= target))}
    chosen: list[int] = []
    for _ in range(fewest):
        rest = _unserved(scores, masks, chosen, partition=partition)
        good, afters = np.zeros(len(masks), dtype=bool), []
        for state in states:
            for kind, after in slots.spend(state, np.ones(len(allowed), dtype=bool)):
                part = _first_part(rest, best[after], num_tasks)
                fine = (table.best_of_groups(part) >= target) & allowed[kind]
                good |= fine
                afters.append((after, fine))
        good[chosen] = False
        chosen.append(int(np.flatnonzero(good)[0]))
        states = {after for after, fine in afters if fine[chosen[-1]]}
    return sorted(chosen)


class _PartSums:
    """w[G, A], the sum of the scores that group G gives the part A of its tasks; -inf for others."""

    def __init__(self, scores: np.ndarray, masks: np.ndarray, *, partition: bool) -> None:
        num_tasks = scores.shape[1]
        self._scores, self._masks = np.where(np.isneginf(scores), 0.0, scores), masks
        self._parts = np.arange(1 << num_tasks)
        self._held = (self._parts >> np.arange(num_tasks)[:, None] & 1).astype(np.float64)  # [n, P]
        self._partition = partition

    def _block(self, begin: int, end: int) -> np.ndarray:
        masks = self._masks[begin:end, None]
        sums: np.ndarray = self._scores[begin:end] @ self._held
        outside = self._parts != masks if self._partition else (self._parts & ~masks) != 0
        sums[outside] = -np.inf
        return sums

    def _blocks(self) -> list[tuple[int, int]]:
        rows = max(1, BLOCK // len(self._parts))
        return [(b, min(b + rows, len(self._masks))) for b in range(0, len(self._masks), rows)]

    def best_of_parts(self, allowed: np.ndarray) -> np.ndarray:
        """[kinds, P] the most that an allowed group [kinds, C] gives each part."""
        best = np.full((len(allowed), len(self._parts)), -np.inf)
        for begin, end in self._blocks():
            block = self._block(begin, end)
            for kind, own in enumerate(allowed[:, begin:end]):
                if own.any():
                    np.maximum(best[kind], block[own].max(0), out=best[kind])
        return best

    def best_of_groups(self, values: np.ndarray) -> np.ndarray:
        """[C] the most that w[G, A] plus values[A] [P] is over A."""
        return np.concatenate([(self._block(b, e) + values).max(1) for b, e in self._blocks()])


def _serve(values: np.ndarray, slots: Slots, num_tasks: int) -> np.ndarray:
    """[U, 2^n] the most that parts of values [kinds, 2^n] add up to, one part a slot at most."""
    whole, part = _pairs(num_tasks)
    own = (part & whole & -whole) != 0  # the part that holds the first task comes first
    whole, part = whole[own], part[own]
    starts = np.flatnonzero(np.diff(whole, prepend=-1))
    best = np.full((slots.full + 1, 1 << num_tasks), -np.inf)
    best[:, 0] = 0.0
    rest = whole ^ part
    for state in range(1, slots.full + 1):
        for kind, after in slots.spend(state, np.ones(len(values), dtype=bool)):
            sums = np.maximum.reduceat(values[kind][part] + best[after][rest], starts)
            np.maximum(best[state, 1:], sums, out=best[state, 1:])
    return best


def _unserved(
    scores: np.ndarray, masks: np.ndarray, chosen: list[int], *, partition: bool
) -> np.ndarray:
    """[2^n] what the chosen groups give if all tasks but those of a set are theirs to serve."""
    num_tasks = scores.shape[1]
    given = scores[chosen].max(0, initial=-np.inf)
    rest = np.arange(1 << num_tasks)
    served = (~rest[:, None] >> np.arange(num_tasks)) & 1 == 1
    value = np.where(served, given, 0.0).sum(1)
    if partition:
        free = len(rest) - 1 - int(np.bitwise_or.reduce(masks[chosen], initial=0))
        value[rest != free] = -np.inf
    return np.asarray(value)


def _first_part(rest: np.ndarray, best: np.ndarray, num_tasks: int) -> np.ndarray:
    """[2^n] the most of rest[U] + best[U without A] over the sets U that hold the part A."""
    whole, part, starts = _pairs_by_part(num_tasks)
    sums = np.maximum.reduceat(rest[whole] + best[whole ^ part], starts)
    sums[0] = -np.inf  # a group serves a task at least
    return np.asarray(sums)


@lru_cache(maxsize=2)
def _pairs(num_tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """All sets and their parts, [3^n] each, sorted by the set."""
    whole = part = np.zeros(1, dtype=np.int32)
    for task in range(num_tasks):
        bit = np.int32(1 << task)
        whole = np.concatenate([whole, whole | bit, whole | bit])
        part = np.concatenate([part, part, part | bit])
    order = np.argsort(whole, kind="stable")
    return whole[order], part[order]


@lru_cache(maxsize=2)
def _pairs_by_part(num_tasks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same pairs sorted by the part, and where each part begins."""
    whole, part = _pairs(num_tasks)
    order = np.argsort(part, kind="stable")
    return whole[order], part[order], np.flatnonzero(np.diff(part[order], prepend=-1))
