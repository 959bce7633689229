"""Forecasting: the next values of a series."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mtlrun.core.distributed import average_
from mtlrun.core.task import Output, Task


def forecasting(name: str) -> Task:
    """The task of predicting one series: squared error as loss; `mae` leads, `mse` follows.

    Its output is a `sequence` of one channel. Heads leave out the last axis of a sequence of one
    channel, so predictions and targets are [B, L]. All numbers are on standardised data.

    Args:
        name: Of the series.
    """
    return Task(
        name,
        Output("sequence", 1),
        loss=mean_squared_error,
        metrics={"mae": MeanAbsoluteError, "mse": MeanSquaredError},
        directions={"mae": False, "mse": False},
    )


def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error of [B, L] predictions.

    Raises:
        ValueError: If the shapes differ: they would broadcast silently.
    """
    _check_shapes(prediction, target)
    return F.mse_loss(prediction, target)


class _MeanError(ABC):
    """The mean of an error over all entries of all batches of all processes."""

    higher_is_better: bool | None = False

    def __init__(self) -> None:
        self._totals = torch.zeros(2, dtype=torch.float64)  # sum of errors, number of entries

    def to(self, device: Any) -> "_MeanError":
        """The same metric on a device; it stays where it is if the device lacks float64."""
        if torch.device(device).type != "mps":
            self._totals = self._totals.to(device)
        return self

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Takes in [B, L] predictions and targets."""
        _check_shapes(prediction, target)
        mean = self.error(prediction, target).to(self._totals)
        count = torch.full_like(mean, target.numel())
        self._totals = self._totals + torch.stack((mean * count, count))

    def compute(self) -> Tensor:
        """The mean, a scalar; not a number if there were no entries."""
        totals = self._totals.clone()
        average_([totals])
        return totals[0] / totals[1]

    @staticmethod
    @abstractmethod
    def error(prediction: Tensor, target: Tensor) -> Tensor:
        """The mean over one batch."""


class MeanAbsoluteError(_MeanError):
    """Mean over all entries of |prediction - target|."""

    @staticmethod
    def error(prediction: Tensor, target: Tensor) -> Tensor:
        """The mean absolute error of one batch."""
        return F.l1_loss(prediction, target)


class MeanSquaredError(_MeanError):
    """Mean over all entries of (prediction - target)^2."""

    @staticmethod
    def error(prediction: Tensor, target: Tensor) -> Tensor:
        """The mean squared error of one batch."""
        return F.mse_loss(prediction, target)


def _check_shapes(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != target.shape:
        raise ValueError(
            f"Predictions should have the targets' shape {list(target.shape)}. "
            f"Found {list(prediction.shape)}. Heads leave out the last axis of a sequence of one channel."
        )
