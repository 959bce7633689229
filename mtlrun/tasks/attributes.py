"""Attributes: whether an image has a property."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mtlrun.core.task import Metric, Output, Task


def attribute(name: str) -> Task:
    """The task of telling whether an image has a property: cross entropy of two classes as loss.

    Predictions are scores [B, 2], targets int64 labels [B], 0 or 1. `error` leads, the share of wrong
    answers in percent; `accuracy` follows, the share of right ones in 0..1. Both are pooled over the
    set.

    Args:
        name: On the command line.
    """
    return Task(
        name,
        Output("vector", 2),
        loss=two_class_cross_entropy,
        metrics={"error": _error, "accuracy": _accuracy},
        directions={"error": False, "accuracy": True},
    )


def two_class_cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean cross entropy of [B, 2] scores with [B] labels.

    Raises:
        ValueError: If the shapes are others.
    """
    _check(prediction, target)
    return F.cross_entropy(prediction, target)


def right_answers(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """[B] 1 where the larger score is the label's and else 0, and which count: all."""
    _check(prediction, target)
    right = (prediction.argmax(dim=1) == target).float()
    return right, torch.ones_like(right, dtype=torch.bool)


def percent_wrong(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """[B] 100 where the answer is wrong and else 0, and which count: all."""
    right, counts = right_answers(prediction, target)
    return 100 * (1 - right), counts


def _check(prediction: Tensor, target: Tensor) -> None:
    if prediction.shape != (len(target), 2) or target.dim() != 1:
        raise ValueError(
            f"An attribute's predictions should be [B, 2] and its targets [B]. "
            f"Found {list(prediction.shape)} and {list(target.shape)}."
        )


def _error() -> Metric:
    from mtlrun.tasks._pooled import PooledMean

    return PooledMean(percent_wrong)


def _accuracy() -> Metric:
    from mtlrun.tasks._pooled import PooledShare

    return PooledShare(right_answers)
