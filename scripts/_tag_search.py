"""The search published with TAG as it is: every choice of at most m groups, nothing left out."""

import math
import time
from dataclasses import dataclass
from itertools import combinations

import numpy as np

LOOK_EVERY = 1 << 12  # choices between two looks at the clock


@dataclass
class Search:
    """How far a search came.

    Attributes:
        nodes: Choices that were looked at.
        all_nodes: Choices that there are.
        seconds: That it took.
        value: Of the best choice that it met; None for none that covers all tasks.
    """

    nodes: int
    all_nodes: int
    seconds: float
    value: float | None

    @property
    def capped(self) -> bool:
        """Whether the time was up before the end."""
        return self.nodes < self.all_nodes


def search_all(matrix: np.ndarray, num_groups: int, limit: float, *, alone: float = -1e6) -> Search:
    """Goes through all choices of at most m groups for the mean of the tasks' best scores.

    Source: arXiv:2109.04617, the notebook TAG_network_selection: the number of choices is that of
        its search, sum over k <= m of (2^n - 1 choose k).
    Differs: scores of groups are tables; the notebook computes them again at every choice.

    Args:
        matrix: [n, n], row = source, column = target.
        num_groups: m.
        limit: Seconds.
        alone: The score of a task alone.
    """
    n = len(matrix)
    groups = [G for size in range(1, n + 1) for G in combinations(range(n), size)]
    scores = [
        [
            -math.inf
            if t not in G
            else float(sum(matrix[i, t] for i in G if i != t)) / (len(G) - 1)
            if len(G) > 1
            else alone
            for t in range(n)
        ]
        for G in groups
    ]
    total = sum(math.comb(len(groups), k) for k in range(1, num_groups + 1))
    start = time.perf_counter()
    nodes, best = 0, -math.inf
    stack = [(0, [-math.inf] * n, num_groups)]  # where to go on, best scores so far, groups left
    while stack:
        begin, served, left = stack.pop()
        if begin < len(groups):
            after = [max(pair) for pair in zip(served, scores[begin], strict=True)]
            best = max(best, sum(after))
            nodes += 1
            if nodes % LOOK_EVERY == 0 and time.perf_counter() - start > limit:
                break
            stack.append((begin + 1, served, left))
            if left > 1:
                stack.append((begin + 1, after, left - 1))
    seconds = time.perf_counter() - start
    return Search(nodes, total, seconds, best / n if best > -math.inf else None)
