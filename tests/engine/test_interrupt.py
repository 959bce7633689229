"""Signals as a wish to stop."""

import os
import signal

import pytest

from mtlrun.engine.interrupt import Interrupted, catching_signals, deferred, stop, stop_requested


def _send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_outside_the_loop_ends_the_run(signum: int) -> None:
    with pytest.raises(Interrupted) as caught, catching_signals():
        _send(signum)
    assert caught.value.signum == signum


def _loop(*signals: int, then: BaseException | None = None) -> None:
    with catching_signals():
        with deferred(), deferred():
            for signum in signals:
                _send(signum)
                assert stop_requested()
            if then is not None:
                raise then
        raise AssertionError("the loop's end should raise")


def test_signal_in_the_loop_is_noted_and_raised_where_training_says() -> None:
    steps = []

    def train() -> None:
        with catching_signals(), deferred():
            for step in range(5):
                if step == 1:
                    _send(signal.SIGTERM)
                steps.append(step)
                if stop_requested():
                    stop()

    with pytest.raises(Interrupted):
        train()
    assert steps == [0, 1]


@pytest.mark.parametrize(
    ("signals", "first"),
    [
        ([signal.SIGTERM], signal.SIGTERM),
        ([signal.SIGTERM, signal.SIGTERM], signal.SIGTERM),
        ([signal.SIGINT, signal.SIGTERM], signal.SIGINT),
    ],
)
def test_wish_that_nobody_granted_is_raised_after_the_loop(signals: list[int], first: int) -> None:
    with pytest.raises(Interrupted) as caught:
        _loop(*signals)
    assert caught.value.signum == first


def test_second_interrupt_ends_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        _loop(signal.SIGINT, signal.SIGINT)


def test_error_in_the_loop_is_not_hidden_by_a_wish() -> None:
    with pytest.raises(ZeroDivisionError):
        _loop(signal.SIGTERM, then=ZeroDivisionError())


def test_handlers_and_wishes_do_not_outlive_the_block() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted), catching_signals():
        _send(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not stop_requested()
