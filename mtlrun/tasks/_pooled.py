"""Metrics pooled over the valid pixels of all batches of all processes.

This module imports torchmetrics, which takes seconds: tasks import it when metrics are made.
"""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor
from torchmetrics import Metric

PixelValues = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class PooledMetric(Metric):
    """Sums over pixels in float64 or int64, added up over processes.

    Sums stay on the CPU if the device lacks float64.
    """

    full_state_update = False
    is_differentiable = False

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same metric on a device."""
        device = args[0] if args else kwargs.get("device")
        if device is not None and torch.device(device).type == "mps":
            return self
        return super().to(*args, **kwargs)


class PooledMean(PooledMetric):
    """The mean of a number per pixel, lower is better; not a number if no pixel is valid.

    Args:
        values: (prediction, target) -> the numbers and, in the same shape, which are valid.
    """

    higher_is_better: bool | None = False
    total: Tensor
    count: Tensor

    def __init__(self, values: PixelValues) -> None:
        super().__init__()
        self.values = values
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Takes in a batch."""
        values, valid = self.values(prediction, target)
        values, valid = values.to(self.total.device), valid.to(self.total.device)
        self.total = self.total + values.where(valid, 0).sum(dtype=torch.float64)
        self.count = self.count + valid.sum()

    def compute(self) -> Tensor:
        """The mean, a scalar."""
        return self.total / self.count


class PooledRoot(PooledMean):
    """The square root of the mean of a number per pixel."""

    def compute(self) -> Tensor:
        """The root, a scalar."""
        return super().compute().sqrt()


class PooledShare(PooledMean):
    """The share of valid pixels of which something is true, in 0..1, higher is better."""

    higher_is_better: bool | None = True


class PooledMedian(PooledMetric):
    """The median of a number per pixel, lower is better; not a number if no pixel is valid.

    Numbers are counted in bins, so that memory does not grow with the pixels: `bins` int64 counts
    (1.5 MB for angles). Each of the two middle numbers (one, counted twice, of an odd number) is
    taken as its bin's centre, so that the result is off by `largest / bins / 2` at most.

    Args:
        values: (prediction, target) -> the numbers and, in the same shape, which are valid.
        largest: No number is larger, none is negative.
        bins: How many.
    """

    higher_is_better: bool | None = False
    counts: Tensor

    def __init__(self, values: PixelValues, *, largest: float, bins: int) -> None:
        super().__init__()
        self.values, self.largest, self.bins = values, largest, bins
        zeros = torch.zeros(bins + 1, dtype=torch.int64)  # the last for what is not a number
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Takes in a batch."""
        values, valid = self.values(prediction, target)
        values = values[valid].to(self.counts.device)
        places = (values * (self.bins / self.largest)).clamp(0, self.bins - 1)
        places = places.nan_to_num(nan=float(self.bins)).long()
        self.counts = self.counts + torch.bincount(places, minlength=self.bins + 1)

    def compute(self) -> Tensor:
        """The median, a scalar."""
        counts = self.counts.cpu()
        number = int(counts.sum())
        if number == 0 or counts[-1] > 0:
            return torch.tensor(torch.nan, dtype=torch.float64)
        middle = torch.tensor([(number - 1) // 2 + 1, number // 2 + 1])
        places = torch.searchsorted(counts.cumsum(0), middle)
        return (places.double().mean() + 0.5) * (self.largest / self.bins)


class Confusion(PooledMetric):
    """How often each class is taken for each.

    Args:
        num_classes: C.
        ignore_index: The label of pixels that do not count.
    """

    higher_is_better: bool | None = True
    matrix: Tensor

    def __init__(self, num_classes: int, ignore_index: int) -> None:
        super().__init__()
        self.num_classes, self.ignore_index = num_classes, ignore_index
        zeros = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.add_state("matrix", zeros, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Takes in scores [B, C, H, W] and labels [B, H, W].

        Raises:
            ValueError: If a label is not a class.
        """
        valid = target != self.ignore_index
        labels = target[valid].long().to(self.matrix.device)
        found = prediction.argmax(dim=1)[valid].to(self.matrix.device)
        if labels.numel() and (labels.min() < 0 or labels.max() >= self.num_classes):
            raise ValueError(
                f"Labels should be classes 0..{self.num_classes - 1} or {self.ignore_index}, which is "
                f"ignored. Found labels {int(labels.min())}..{int(labels.max())}. Check the data."
            )
        places = labels * self.num_classes + found
        counts = torch.bincount(places, minlength=self.num_classes**2)
        self.matrix = self.matrix + counts.view_as(self.matrix)


class MeanIoU(Confusion):
    """Mean over classes of intersection over union; classes neither labelled nor found are left out."""

    def compute(self) -> Tensor:
        """The mean, a scalar in 0..1; not a number if no pixel is valid."""
        matrix = self.matrix.double()
        both = matrix.diagonal()
        return (both / (matrix.sum(0) + matrix.sum(1) - both)).nanmean()


class PixelAccuracy(Confusion):
    """The share of valid pixels whose class is found."""

    def compute(self) -> Tensor:
        """The share, a scalar in 0..1; not a number if no pixel is valid."""
        matrix = self.matrix.double()
        return matrix.diagonal().sum() / matrix.sum()


class PixelError(PixelAccuracy):
    """The percentage of valid pixels whose class is not found: 100 (1 - accuracy), lower is better."""

    higher_is_better: bool | None = False

    def compute(self) -> Tensor:
        """The percentage, a scalar in 0..100; not a number if no pixel is valid."""
        return 100 * (1 - super().compute())
