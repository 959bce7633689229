"""Metrics of binary maps from counts at probability thresholds, over the whole set.

This module imports torchmetrics, which takes seconds: tasks import it when metrics are made.
"""

from abc import abstractmethod

import torch
from torch import Tensor

from mtlrun.tasks._masked import check_dense
from mtlrun.tasks._pooled import PooledMetric

BETA_SQUARED = 0.3
NUM_THRESHOLDS = 19


class ThresholdCounts(PooledMetric):
    """How many valid pixels are rightly found, found, and positive, at each threshold.

    Args:
        thresholds: N probabilities; a pixel is found whose probability is larger.
    """

    higher_is_better: bool | None = True
    counts: Tensor
    num_valid: Tensor

    def __init__(self, thresholds: list[float]) -> None:
        super().__init__()
        self.thresholds = thresholds
        zeros = torch.zeros(len(thresholds), 3, dtype=torch.int64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")
        self.add_state("num_valid", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Takes in logits and targets, [B, 1, H, W] each; targets that are not a number do not count."""
        check_dense(prediction, target)
        valid = ~target.isnan()
        probability = prediction[valid].float().sigmoid()
        positive = target[valid] >= 0.5
        rows = []
        for threshold in self.thresholds:
            found = probability > threshold
            rows.append(torch.stack([(found & positive).sum(), found.sum(), positive.sum()]))
        self.counts = self.counts + torch.stack(rows).to(self.counts.device)
        self.num_valid = self.num_valid + valid.sum().to(self.num_valid.device)

    def compute(self) -> Tensor:
        """What the counts come to, a scalar; not a number if no pixel is valid."""
        if int(self.num_valid) == 0:
            return torch.tensor(torch.nan, dtype=torch.float64)
        return self.measure(*self.counts.double().unbind(dim=1))

    @abstractmethod
    def measure(self, both: Tensor, found: Tensor, positive: Tensor) -> Tensor:
        """The scalar that the counts [N] of a set come to.

        Args:
            both: Found and positive.
            found: Found.
            positive: Positive.
        """


class MaxF(ThresholdCounts):
    """The largest over thresholds of (1 + b) P R / (b P + R), b = 0.3; 0 where P or R is undefined."""

    def __init__(self) -> None:
        super().__init__([k / (NUM_THRESHOLDS + 1) for k in range(1, NUM_THRESHOLDS + 1)])

    def measure(self, both: Tensor, found: Tensor, positive: Tensor) -> Tensor:
        """The largest, a scalar in 0..1."""
        precision, recall = both / found, both / positive
        f = (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
        return f.nan_to_num(nan=0.0).max()


class BinaryMeanIoU(ThresholdCounts):
    """The mean over both classes of intersection over union; a class neither there nor found is left out."""

    def __init__(self) -> None:
        super().__init__([0.5])

    def measure(self, both: Tensor, found: Tensor, positive: Tensor) -> Tensor:
        """The mean, a scalar in 0..1."""
        neither = self.num_valid - found - positive + both
        wrong = found + positive - 2 * both
        ious = torch.cat([both / (both + wrong), neither / (neither + wrong)])
        return ious.nanmean()
