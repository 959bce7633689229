"""Curvature: how strongly the surface at every pixel bends, in two directions."""

from torch import Tensor

from mtlrun.core.task import Metric, Output, Task
from mtlrun.tasks._masked import masked_mean
from mtlrun.tasks._regression import known_errors


def curvature(name: str = "curvature") -> Task:
    """The task of estimating both principal curvatures: squared error as loss; `rmse` leads, `mse` follows.

    Predictions and targets are [B, 2, H, W]; entries whose target is not a number are invalid.
    Metrics are pooled over all valid entries of the set, `rmse` under one root.

    Args:
        name: On the command line.
    """
    return Task(
        name,
        Output("dense", 2),
        loss=mean_squared_error,
        metrics={"rmse": _rmse, "mse": _mse},
        directions={"rmse": False, "mse": False},
    )


def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Over the entries whose target is a number; 0 if there is none."""
    return masked_mean(*squared_errors(prediction, target))


def squared_errors(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Of every entry, and which are valid."""
    errors, valid = known_errors(prediction, target)
    return errors.square(), valid


def _rmse() -> Metric:
    from mtlrun.tasks._pooled import PooledRoot

    return PooledRoot(squared_errors)


def _mse() -> Metric:
    from mtlrun.tasks._pooled import PooledMean

    return PooledMean(squared_errors)
