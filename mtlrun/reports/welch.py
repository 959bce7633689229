"""Whether two rows differ by more than their seeds do."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Welch:
    """Of two samples: the difference of means, t, degrees of freedom, and the two-sided p."""

    difference: float
    t: float
    freedom: float
    p: float


def welch(first: Sequence[float], second: Sequence[float]) -> Welch | None:
    """Welch's t-test, which assumes no equal variances.

    Source: Welch, Biometrika 34 (1947); degrees of freedom by Satterthwaite's formula.

    Returns:
        None where a sample has fewer than two numbers, or where neither varies.
    """
    if min(len(first), len(second)) < 2:
        return None
    parts = [statistics.variance(own) / len(own) for own in (first, second)]
    if not (math.isfinite(sum(parts)) and sum(parts) > 0):
        return None
    from scipy.special import stdtr  # the one place that needs it: a report starts without

    difference = statistics.fmean(first) - statistics.fmean(second)
    t = difference / math.sqrt(sum(parts))
    spread = sum(p**2 / (len(own) - 1) for p, own in zip(parts, (first, second), strict=True))
    freedom = sum(parts) ** 2 / spread
    return Welch(difference, t, freedom, 2 * float(stdtr(freedom, -abs(t))))
