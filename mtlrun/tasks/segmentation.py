"""Segmentation: the class of every pixel."""

from dataclasses import replace
from functools import partial

from torch import Tensor
from torch.nn import functional as F

from mtlrun.core.task import Metric, Output, Task


def segmentation(
    name: str = "segmentation",
    *,
    num_classes: int,
    ignore_index: int = 255,
    pixel_error: bool = False,
) -> Task:
    """The task of classifying pixels: cross entropy as loss; `miou` leads, `pixel_accuracy` follows.

    Predictions are scores [B, C, H, W], targets int64 labels [B, H, W]. Metrics come from one
    confusion matrix of the whole set; a class neither labelled nor found does not count.

    Args:
        name: On the command line.
        num_classes: C.
        ignore_index: The label of pixels that count nowhere.
        pixel_error: Whether `pixel_error`, 100 (1 - accuracy), follows instead, as in the tables of
            Deep Safe Multi-Task Learning; relative changes of the two differ.

    Raises:
        ValueError: If there are fewer than 2 classes, or the ignored label is one of them.
    """
    if num_classes < 2 or 0 <= ignore_index < num_classes:
        raise ValueError(
            f"`num_classes` should be 2 at least and `ignore_index` none of the classes. "
            f"Found `num_classes = {num_classes}`, `ignore_index = {ignore_index}`."
        )
    second = "pixel_error" if pixel_error else "pixel_accuracy"
    make = _pixel_error if pixel_error else _pixel_accuracy
    return Task(
        name,
        Output("dense", num_classes),
        loss=partial(cross_entropy, ignore_index=ignore_index),
        metrics={
            "miou": partial(_mean_iou, num_classes, ignore_index),
            second: partial(make, num_classes, ignore_index),
        },
        directions={"miou": True, second: not pixel_error},
    )


def miou_alone(task: Task) -> Task:
    """A segmentation task without its second metric, as where a paper's tables have none."""
    return replace(task, metrics={"miou": task.metrics["miou"]}, directions={"miou": True})


def cross_entropy(prediction: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    """Mean cross entropy over the pixels that count; 0 if none does.

    Args:
        prediction: [B, C, H, W] scores.
        target: [B, H, W] int64 labels.
        ignore_index: The label of pixels that do not count.
    """
    total = F.cross_entropy(prediction, target, ignore_index=ignore_index, reduction="sum")
    return total / (target != ignore_index).sum().clamp(min=1)


def _mean_iou(num_classes: int, ignore_index: int) -> Metric:
    from mtlrun.tasks._pooled import MeanIoU

    return MeanIoU(num_classes, ignore_index)


def _pixel_accuracy(num_classes: int, ignore_index: int) -> Metric:
    from mtlrun.tasks._pooled import PixelAccuracy

    return PixelAccuracy(num_classes, ignore_index)


def _pixel_error(num_classes: int, ignore_index: int) -> Metric:
    from mtlrun.tasks._pooled import PixelError

    return PixelError(num_classes, ignore_index)
