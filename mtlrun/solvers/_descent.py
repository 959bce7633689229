"""Which threshold a listing should try next, so that the time suffices for it and is used up."""

import numpy as np

from mtlrun.solvers._clock import Clock

FIRST = 0.7  # threshold that is tried first, as a share of what is proven
GROWTH = 7.0  # of the logarithm of nodes from the top to 0, until measured
LONG = 1_500_000  # nodes beyond which a listing needs cuts
CUTS = 150  # of such a listing: about
FEWER = 6.0  # times fewer nodes
SPEED = 3e6  # nodes a second, until measured
FEW_POINTS = 3  # listings, from which growth is known well
STEEPER = 1.15  # the growth of nodes, against its mean so far
FEWEST = 0.02  # step, relative to what is proven, that is worth a listing
ENOUGH = 0.3  # seconds, in which nodes are counted to know the speed
TRY, TRY_WITH_CUTS, AFTER_FAILURE = 0.1, 0.4, 0.6  # shares of the time
PARTS = (0.25, 0.8, 0.95)  # that a listing is expected to take; the first while growth is guessed
LARGEST = 0.55  # of what is proven: a lower threshold is not tried next, unless as good as 0


def cuts_for(nodes: float) -> int:
    """Cuts for a listing that is expected to look at so many nodes without them."""
    return CUTS if nodes > LONG else 0


class Descent:
    """Thresholds above prices, falling. Nodes grow exponentially as a threshold falls, or faster.

    Args:
        top: A threshold that no group reaches, or at which a listing tells nothing new.
        least: The lowest that is of interest.
        clock: When to stop.
        cuts: Of the first listing.

    Attributes:
        proven: The lowest threshold so far that no unknown group reaches.
        extra: To be tried next.
        share: Of the time left that it may take.
        cuts: That it should use.
    """

    def __init__(self, top: float, least: float, clock: Clock, *, cuts: int = 0) -> None:
        self.proven, self.least, self._clock = top, least, clock
        self._top, self._left = top, clock.left
        self.extra, self.cuts = max(FIRST * top, least), cuts
        self.share = TRY_WITH_CUTS if cuts else TRY
        self._failed = -np.inf  # the highest threshold whose listing did not end, with cuts
        self._points: list[tuple[float, float]] = []  # thresholds and the logarithm of their nodes
        self._speed, self._overhead, self._growth = SPEED, 0.0, 0.0

    @property
    def worthwhile(self) -> bool:
        """Whether another listing may lower the threshold."""
        if self._clock.over or self.proven <= self.least:
            return False
        return self.extra == self.least or self.proven - self.extra > FEWEST * self.proven

    def note(self, complete: bool, nodes: int, preparing_seconds: float = 0.0) -> None:
        """Chooses the next threshold.

        Args:
            complete: Whether the listing at `extra` ended.
            nodes: How many it looked at.
            preparing_seconds: That its multipliers took, of all.
        """
        spent = max(self._left - self._clock.left, 1e-3)
        self._left = self._clock.left
        if self.cuts:
            self._overhead = preparing_seconds
        if spent - preparing_seconds > ENOUGH:
            self._speed = nodes / (spent - preparing_seconds)
        if not complete:
            self._after_failure()
            return
        more = float(np.log(max(nodes, 1)))
        if self._points:
            before, fewer = self._points[-1]
            growth = STEEPER * (more - fewer) / max(before - self.extra, 1e-12)
            self._growth = max(growth, 0.8 * self._growth)
        self._points.append((self.extra, more))
        self.proven = self.extra
        self._predict(more)

    def _after_failure(self) -> None:
        """Again with cuts, or half as far; with most of the time."""
        if self.cuts:
            self._failed = max(self._failed, self.extra)
            self.extra = (self.proven + self.extra) / 2
        self.cuts, self.share = CUTS, AFTER_FAILURE

    def _predict(self, more: float) -> None:
        """Chooses the next threshold after one of e^more nodes."""
        now, growth = self.proven, self._growth if len(self._points) > 1 else GROWTH / self._top
        if not self.cuts and more + growth * now > np.log(LONG):
            self.cuts, more = CUTS, more - float(np.log(FEWER))
        growth = max(growth, 1e-9)
        for part in PARTS if len(self._points) < FEW_POINTS else PARTS[1:]:
            seconds, self.share = part * self._left - self._overhead, min(2.2 * part, 0.97)
            room = max(float(np.log(max(seconds * self._speed, 1.0))) - more, 0.0)
            extra = now - room / growth
            if room > (1.0 if part == PARTS[0] else growth * FEWEST * now):
                break
        extra = self.least if extra < 0.1 * now else max(extra, LARGEST * now)
        self.extra = max(extra, self.least, self._floor)
        self._points[-1] = (now, more)

    @property
    def _floor(self) -> float:
        """No lower threshold is tried next, for one below it failed."""
        failed = self._failed
        return failed + 0.3 * (self.proven - failed) if np.isfinite(failed) else 0.0
