"""Regression of maps of any number of channels."""

from mtlrun.core.task import Metric, Output, Task
from mtlrun.tasks._regression import known_errors, mean_absolute_error


def regression(name: str, *, channels: int = 1) -> Task:
    """The task of regressing [B, C, H, W] maps: absolute error as loss and as metric `abs_error`.

    Entries whose target is not a number are invalid; both means are over all others.

    Args:
        name: On the command line.
        channels: C.
    """
    return Task(
        name,
        Output("dense", channels),
        loss=mean_absolute_error,
        metrics={"abs_error": _abs_error},
        directions={"abs_error": False},
    )


def _abs_error() -> Metric:
    from mtlrun.tasks._pooled import PooledMean

    return PooledMean(known_errors)
