"""Which threshold a listing should try next, so that the time suffices for it and is used up."""

import numpy as np

from mtlrun.solvers._clock import Clock

FIRST = (0.75, 0.5)  # thresholds that are tried first, as shares of what is proven
LONG = 1_500_000  # nodes beyond which a listing needs cuts
CUTS = 150  # of such a listing: about
FEWER = 6.0  # times fewer nodes
SPEED = 3e6  # nodes a second, until measured
STEEPER = 1.15  # the growth of nodes, against its mean so far
FEWEST = 0.03  # step, relative to what is proven, that is worth a listing
LARGEST = 0.55  # of what is proven: a lower threshold is not tried next, unless as good as 0


def cuts_for(nodes: float) -> int:
    """Cuts for a listing that is expected to look at so many nodes without them."""
    return CUTS if nodes > LONG else 0


class Descent:
    """Thresholds above prices, falling. Nodes grow exponentially as a threshold falls, or faster.

    Args:
        top: A threshold that no group reaches.
        least: The lowest that is of interest.
        clock: When to stop.
        useful: The highest threshold whose listing tells anything new.

    Attributes:
        proven: The lowest threshold so far that no unknown group reaches.
        extra: To be tried next.
        share: Of the time left that it may take.
        cuts: That it should use.
    """

    def __init__(self, top: float, least: float, clock: Clock, *, useful: float = np.inf) -> None:
        self.proven, self.least, self._clock = top, least, clock
        self._top, self._left = min(top, useful), clock.left
        self.extra, self.share, self.cuts = max(FIRST[0] * self._top, least), 0.1, 0
        self._failed = 0.0  # the highest threshold whose listing did not end
        self._points: list[tuple[float, float]] = []  # thresholds and the logarithm of their nodes
        self._speed, self._overhead, self._growth = SPEED, 0.0, 0.0

    @property
    def worthwhile(self) -> bool:
        """Whether another listing may lower the threshold."""
        step = self.proven - self.extra
        return self.proven > self.least and step > FEWEST * self.proven and not self._clock.over

    def note(self, complete: bool, nodes: int) -> None:
        """Chooses the next threshold.

        Args:
            complete: Whether the listing at `extra` ended.
            nodes: How many it looked at.
        """
        spent = max(self._left - self._clock.left, 1e-3)
        self._left = self._clock.left
        if self.cuts:
            self._overhead = max(spent - nodes / self._speed, 0.0)
        elif nodes > LONG:
            self._speed = nodes / spent
        if not complete:
            self._failed = max(self._failed, self.extra)
            self.extra, self.cuts, self.share = (self.proven + self._failed) / 2, CUTS, 0.7
            return
        more = float(np.log(max(nodes, 1)))
        if self._points:
            before, fewer = self._points[-1]
            growth = STEEPER * (more - fewer) / (before - self.extra)
            self._growth = max(growth, 0.8 * self._growth)
        self._points.append((self.extra, more))
        self.proven = self.extra
        if self._failed >= self.proven:  # with more time, or cuts
            self._failed = 0.0
        if len(self._points) < len(FIRST):
            self.extra = max(FIRST[len(self._points)] * self._top, self.least, self._floor)
        else:
            self._predict(more)

    def _predict(self, more: float) -> None:
        """Chooses the next threshold after one of e^more nodes."""
        now, growth = self.proven, max(self._growth, 1e-9)
        if not self.cuts and more + growth * now > np.log(LONG):
            self.cuts, more = CUTS, more - float(np.log(FEWER))
        part = 0.25 if len(self._points) == len(FIRST) else 0.8
        seconds, self.share = part * self._left - self._overhead, min(2.2 * part, 0.97)
        room = float(np.log(max(seconds * self._speed, 1.0))) - more
        extra = now - max(room, 0.0) / growth
        extra = self.least if extra < 0.1 * now else max(extra, LARGEST * now)
        self.extra = max(extra, self.least, self._floor)
        self._points[-1] = (now, more)

    @property
    def _floor(self) -> float:
        """No lower threshold is tried next, for one below it failed."""
        return self._failed + 0.3 * (self.proven - self._failed) if self._failed else 0.0
