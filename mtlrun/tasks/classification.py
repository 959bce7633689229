"""Classification: which of several classes an example is of."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from mtlrun.core.task import Metric, Output, Task


def classification(name: str, *, num_classes: int) -> Task:
    """The task of telling which of C exclusive classes an example is of, with cross entropy as loss.

    Predictions are scores [B, C], targets int64 class numbers [B] in 0..C-1. `accuracy` is the share
    of right answers in 0..1, pooled over the set.

    Args:
        name: On the command line.
        num_classes: C.
    """
    return Task(
        name,
        Output("vector", num_classes),
        loss=partial(cross_entropy, num_classes=num_classes),
        metrics={"accuracy": partial(_accuracy, num_classes)},
        directions={"accuracy": True},
    )


def cross_entropy(prediction: Tensor, target: Tensor, *, num_classes: int) -> Tensor:
    """Mean cross entropy of [B, C] scores with [B] class numbers.

    Raises:
        ValueError: If the shapes are others.
    """
    _check(prediction, target, num_classes)
    return F.cross_entropy(prediction, target)


def right_answers(prediction: Tensor, target: Tensor, *, num_classes: int) -> tuple[Tensor, Tensor]:
    """[B] 1 where the largest score is the class's and else 0, and which count: all."""
    _check(prediction, target, num_classes)
    right = (prediction.argmax(dim=1) == target).float()
    return right, torch.ones_like(right, dtype=torch.bool)


def _check(prediction: Tensor, target: Tensor, num_classes: int) -> None:
    if prediction.shape != (len(target), num_classes) or target.dim() != 1:
        raise ValueError(
            f"A classification's predictions should be [B, {num_classes}] and its targets [B]. "
            f"Found {list(prediction.shape)} and {list(target.shape)}."
        )


def _accuracy(num_classes: int) -> Metric:
    from mtlrun.tasks._pooled import PooledShare

    return PooledShare(partial(right_answers, num_classes=num_classes))
