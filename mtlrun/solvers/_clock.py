"""How much time is left, and how it is split."""

import time


class Clock:
    """Counts down from a limit; parts of the rest are clocks of their own.

    Args:
        limit: Seconds from now.
    """

    def __init__(self, limit: float) -> None:
        self.start = time.perf_counter()
        self.end = self.start + limit

    @property
    def left(self) -> float:
        """Seconds until the end; negative after it."""
        return self.end - time.perf_counter()

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.left <= 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.start

    def part(self, share: float) -> "Clock":
        """A clock over a share of what is left."""
        return Clock(max(0.0, share * self.left))
