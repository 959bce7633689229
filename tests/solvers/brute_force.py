"""The definitions, tried out on every choice of groups, in exact fractions. Shares no code."""

from fractions import Fraction
from itertools import combinations, permutations


def best(
    matrix,
    m,
    objective,
    *,
    min_size=1,
    max_size=None,
    partition=False,
    budgets=None,
    capacities=None,
    diagonal="as_given",
    singleton_score=-1e6,
    together=(),
    apart=(),
    min_joins=1,
    max_joins=None,
):
    """(value, groups) or None: of the best the fewest groups, then the first in order.

    None also where more groups are asked for than exist.
    """
    n = len(matrix)
    S = [[Fraction(float(v)) for v in row] for row in matrix]
    groups = [
        G
        for size in range(min_size, min(max_size or n, n) + 1)
        for G in combinations(range(n), size)
        if all((a in G) == (b in G) for a, b in together)
        and not any(a in G and b in G for a, b in apart)
        and any(within(G, budgets, capacities, slot) for slot in range(m))
    ]
    if m > len(groups) or (partition and m * min_size > n):
        return None
    if objective == "gain":
        worth = {G: gain(S, G, diagonal) for G in groups}
    else:
        worth = {G: {t: score(S, G, t, objective, singleton_score) for t in G} for G in groups}
    found = None
    for count in [m] if objective == "gain" else range(1, m + 1):
        for choice in combinations(sorted(groups), count):
            joins = [sum(t in G for G in choice) for t in range(n)]
            if min(joins) < min_joins or max(joins) > (1 if partition else max_joins or m):
                continue
            if budgets is not None and not any(
                all(within(G, budgets, capacities, s) for G, s in zip(choice, slots, strict=True))
                for slots in permutations(range(m), count)
            ):
                continue
            if objective == "gain":
                value = sum(worth[G] for G in choice)
            else:
                value = Fraction(
                    sum(max(worth[G][t] for G in choice if t in G) for t in range(n)), n
                )
            if found is None or value > found[0]:
                found = (value, list(choice))
    if found is None:
        return None
    return float(-found[0] if objective == "hoa" else found[0]), found[1]


def gain(S, G, diagonal):
    total = sum(S[i][k] for i in G for k in G if i != k or diagonal == "as_given")
    return Fraction(total, len(G))


def score(S, G, t, objective, singleton_score):
    sign = -1 if objective == "hoa" else 1
    if len(G) > 1:
        return sign * Fraction(sum(S[u][t] for u in G if u != t), len(G) - 1)
    if objective == "hoa" or singleton_score == "diagonal":
        return sign * S[t][t]
    return Fraction(singleton_score)


def within(G, budgets, capacities, slot):
    if budgets is None:
        return True
    cost = sum(budgets[t] if isinstance(budgets[t], int) else budgets[t][slot] for t in G)
    return cost <= (capacities if isinstance(capacities, int) else capacities[slot])
