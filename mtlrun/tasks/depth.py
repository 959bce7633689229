"""Depth: the distance of every pixel."""

from torch import Tensor

from mtlrun.core.task import Metric, Output, Task
from mtlrun.tasks._masked import check_dense, known, masked_mean


def depth(name: str = "depth", *, rmse: bool = True) -> Task:
    """The task of estimating depth: absolute error as loss; `abs_error` leads, `rel_error`, `rmse`.

    Predictions and targets are [B, 1, H, W] in the data's unit; a target that is 0 or not a number is
    invalid. Metrics are pooled over all valid pixels of the set, `rmse` under one root.

    Args:
        name: On the command line.
        rmse: Whether it is told; the tables of Deep Safe Multi-Task Learning have the other two,
            and the mean over a task's metrics differs with it.
    """
    metrics = {"abs_error": _abs_error, "rel_error": _rel_error}
    if rmse:
        metrics["rmse"] = _rmse
    return Task(
        name,
        Output("dense", 1),
        loss=masked_absolute_error,
        metrics=metrics,
        directions=dict.fromkeys(metrics, False),
    )


def masked_absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error over the valid pixels; 0 if there is none."""
    return masked_mean(*absolute_errors(prediction, target))


def absolute_errors(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Of every pixel, and which are valid."""
    difference, _, valid = _differences(prediction, target)
    return difference.abs(), valid


def relative_errors(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """|prediction - target| / target of every pixel, and which are valid."""
    difference, own, valid = _differences(prediction, target)
    return difference.abs() / own.where(valid, 1), valid


def squared_errors(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Of every pixel, and which are valid."""
    difference, _, valid = _differences(prediction, target)
    return difference.square(), valid


def _differences(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Prediction less target, the target, 0 where invalid, and where it is valid, [B, 1, H, W] each."""
    check_dense(prediction, target)
    own, valid = known(target)
    return prediction - own, own, valid.unsqueeze(1)


def _abs_error() -> Metric:
    from mtlrun.tasks._pooled import PooledMean

    return PooledMean(absolute_errors)


def _rel_error() -> Metric:
    from mtlrun.tasks._pooled import PooledMean

    return PooledMean(relative_errors)


def _rmse() -> Metric:
    from mtlrun.tasks._pooled import PooledRoot

    return PooledRoot(squared_errors)
