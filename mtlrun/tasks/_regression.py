"""Regression of one number a pixel, as Taskonomy treats its maps: absolute error, pooled."""

from torch import Tensor

from mtlrun.core.task import Metric, Output, Task
from mtlrun.tasks._masked import check_dense, masked_mean


def map_regression(name: str) -> Task:
    """A task of [B, 1, H, W] maps: absolute error as loss, `abs_error` as metric.

    Pixels whose target is not a number are invalid.
    """
    return Task(
        name,
        Output("dense", 1),
        loss=mean_absolute_error,
        metrics={"abs_error": _abs_error},
        directions={"abs_error": False},
    )


def mean_absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Over the pixels whose target is a number; 0 if there is none."""
    return masked_mean(*known_errors(prediction, target))


def known_errors(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The absolute error of every pixel, and which are valid."""
    check_dense(prediction, target)
    valid = ~target.isnan()
    return (prediction - target.where(valid, 0)).abs(), valid


def _abs_error() -> Metric:
    from mtlrun.tasks._pooled import PooledMean

    return PooledMean(known_errors)
