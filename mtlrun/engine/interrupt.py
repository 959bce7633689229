"""SIGINT and SIGTERM as a wish to stop, which training grants after a checkpoint."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A run that a signal ended. As KeyboardInterrupt, no `except Exception` catches it.

    Attributes:
        signum: The first signal that came; the process ends with code 128 + signum.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum


class _Wish:
    """What has come so far; one for the process, as signals are."""

    signum: int | None = None
    num_interrupts: int = 0
    depth: int = 0


_wish = _Wish()


def stop_requested() -> bool:
    """Whether a signal has come; training polls it after every step."""
    return _wish.signum is not None


def stop() -> None:
    """Raises Interrupted if a signal has come."""
    if _wish.signum is not None:
        raise Interrupted(_wish.signum)


@contextmanager
def catching_signals() -> Iterator[None]:
    """Handles both signals in a block, the whole run: outside `deferred` one ends it soon.

    A second SIGINT raises KeyboardInterrupt at once. Outside the main thread nothing is handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _wish.signum, _wish.num_interrupts = None, 0
    before = {number: signal.signal(number, _handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _wish.signum, _wish.num_interrupts = None, 0


@contextmanager
def deferred() -> Iterator[None]:
    """In this block, the training loop, a signal is only noted: poll `stop_requested`.

    Raises:
        Interrupted: At the end of the outermost such block, if a signal came and none was raised.
    """
    _wish.depth += 1
    try:
        yield
    finally:
        _wish.depth -= 1
    if _wish.depth == 0:
        stop()


def _handle(signum: int, frame: FrameType | None) -> None:
    first = _wish.signum is None
    _wish.num_interrupts += signum == signal.SIGINT
    if first:
        _wish.signum = signum
    if _wish.num_interrupts > 1:
        raise KeyboardInterrupt
    if first and _wish.depth == 0:
        raise Interrupted(signum)
