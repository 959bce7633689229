"""Thin lines, and how many of their pixels match one to one within a distance."""

from functools import lru_cache
from itertools import cycle

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

Mask = NDArray[np.bool_]


def thin(mask: Mask) -> Mask:
    """Lines one pixel wide instead of broad ones, connected as before.

    Source: Guo and Hall, Parallel Thinning with Two-Subiteration Algorithms, CACM 1989, algorithm A1.

    Args:
        mask: [H, W].

    Returns:
        [H, W], a part of the mask.
    """
    height, width = mask.shape
    padded = np.zeros((height + 2, width + 2), dtype=np.uint8)
    padded[1:-1, 1:-1] = mask
    flat = padded.reshape(-1)
    row = width + 2
    # East, then against the clock.
    around = np.array([1, 1 - row, -row, -row - 1, -1, row - 1, row, row + 1])
    bits = np.arange(8, dtype=np.uint8)
    stamps = np.zeros(len(flat), dtype=np.intp)
    columns = padded[:-2] & padded[1:-1] & padded[2:]
    border = padded.copy()
    border[1:-1, 1:-1] &= ~(columns[:, :-2] & columns[:, 1:-1] & columns[:, 2:])
    now = np.flatnonzero(border)
    tables = cycle(_deletable())
    # Of the last two half rounds: only their neighbours can have become removable since.
    gone = [now, now]
    while len(gone[0]) or len(gone[1]):
        codes = np.bitwise_or.reduce(flat[now[:, None] + around] << bits, axis=1)
        gone = [gone[1], now[next(tables)[codes]]]
        flat[gone[1]] = 0
        near = (np.concatenate(gone)[:, None] + around).reshape(-1)
        near = near[flat[near] > 0]
        order = np.arange(len(near))
        stamps[near] = order  # the last of equal ones stays
        now = near[stamps[near] == order]
    return padded[1:-1, 1:-1].astype(np.bool_)


def num_matched(found: Mask, truth: Mask, distance: float) -> int:
    """The largest number of pairs of a found and a true pixel, each pixel in one pair at most.

    Args:
        found: [H, W].
        truth: [H, W].
        distance: Of a pair, in pixels, at most.
    """
    height, width = truth.shape
    reach = int(distance)
    shifts = np.arange(-reach, reach + 1)
    dy, dx = (d.reshape(-1) for d in np.meshgrid(shifts, shifts, indexing="ij"))
    near = dy**2 + dx**2 <= distance**2
    offsets = (dy * (width + 2 * reach) + dx)[near]
    number = np.full((height + 2 * reach, width + 2 * reach), -1, dtype=np.int32)
    inner = number[reach : height + reach, reach : width + reach]
    inner[truth] = np.arange(np.count_nonzero(truth), dtype=np.int32)
    y, x = np.nonzero(found)
    places = (y + reach) * (width + 2 * reach) + x + reach
    pairs = number.reshape(-1)[places[:, None] + offsets]  # [F, K]
    rows, columns = np.nonzero(pairs >= 0)
    if len(rows) == 0:
        return 0
    starts = np.searchsorted(rows, np.arange(len(places) + 1)).astype(np.int32)
    graph = csr_array(
        (np.ones(len(rows), dtype=np.uint8), pairs[rows, columns], starts),
        shape=(len(places), int(np.count_nonzero(truth))),
    )
    return int(np.count_nonzero(maximum_bipartite_matching(graph, perm_type="column") >= 0))


@lru_cache(maxsize=1)
def _deletable() -> tuple[Mask, Mask]:
    """For the eight neighbours as bits, whether a pixel goes, in each half of a round."""
    codes = np.arange(256)
    x = [((codes >> k) & 1).astype(np.bool_) for k in range(8)]
    x.append(x[0])  # around once
    crossings = sum((~x[k] & (x[k + 1] | x[k + 2])).astype(int) for k in (0, 2, 4, 6))
    first_pairs = sum((x[k] | x[k + 1]).astype(int) for k in (0, 2, 4, 6))
    second_pairs = sum((x[k + 1] | x[k + 2]).astype(int) for k in (0, 2, 4, 6))
    pairs = np.minimum(first_pairs, second_pairs)
    removable = (crossings == 1) & (pairs >= 2) & (pairs <= 3)
    east, north_east, north, north_west, west, south_west, south, south_east = x[:8]
    first = removable & ~((north_east | north | ~south_east) & east)
    second = removable & ~((south_west | south | ~north_west) & west)
    return first, second
