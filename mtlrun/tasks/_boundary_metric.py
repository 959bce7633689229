"""The F measure of boundaries at the best threshold for the whole set.

This module imports torchmetrics and scipy, which take seconds: tasks import it when metrics are made.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtlrun.tasks._boundary_matching import Mask, num_matched, thin
from mtlrun.tasks._masked import check_dense
from mtlrun.tasks._pooled import PooledMetric


class OdsF(PooledMetric):
    """The largest over thresholds of 2 P R / (P + R), P and R from counts of the whole set.

    Args:
        tolerance: Largest distance of matched pixels, as a share of the image's diagonal: of the smallest
            rectangle with all pixels that count, so that padding does not count.
        num_thresholds: N; a pixel is found whose probability is k / (N + 1) at least, k = 1..N.
    """

    higher_is_better: bool | None = True
    counts: Tensor

    def __init__(self, *, tolerance: float, num_thresholds: int) -> None:
        super().__init__()
        self.tolerance = tolerance
        self.thresholds = np.arange(1, num_thresholds + 1) / (num_thresholds + 1)
        zeros = torch.zeros(num_thresholds, 3, dtype=torch.int64)  # matched, found, true
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Takes in logits and targets, [B, 1, H, W] each; targets that are not a number do not count."""
        check_dense(prediction, target)
        maps = prediction.detach().double().cpu().sigmoid()[:, 0].numpy()
        truths = target.detach().cpu()[:, 0].numpy()
        counted = [self._count(p, t) for p, t in zip(maps, truths, strict=True)]
        self.counts = self.counts + torch.from_numpy(np.sum(counted, axis=0)).to(self.counts.device)

    def compute(self) -> Tensor:
        """The largest, a scalar in 0..1; not a number if there is no boundary in the set."""
        matched, found, true = self.counts.double().unbind(dim=1)
        f = 2 * matched / (found + true)  # = 2 P R / (P + R)
        return torch.where(true > 0, f, torch.nan).max()

    def _count(
        self, probability: NDArray[np.floating], target: NDArray[np.floating]
    ) -> NDArray[np.int64]:
        """[N, 3] pixels matched, found and true in an image [H, W], at each threshold."""
        valid = ~np.isnan(target)
        truth = thin(valid & (target >= 0.5))
        num_true = int(np.count_nonzero(truth))
        distance = self.tolerance * math.hypot(*_extent(valid))
        counts = np.zeros((len(self.thresholds), 3), dtype=np.int64)
        before = -1  # how many pixels the threshold before found
        for k, threshold in enumerate(self.thresholds):
            mask = valid & (probability >= threshold)
            number = int(np.count_nonzero(mask))
            if number == before:  # sets shrink with k, so that equal numbers are equal sets
                counts[k] = counts[k - 1]
                continue
            found, before = thin(mask), number
            matched = num_matched(found, truth, distance)
            counts[k] = matched, np.count_nonzero(found), num_true
        return counts


def _extent(valid: Mask) -> tuple[int, int]:
    """Height and width of the smallest rectangle with all valid pixels of [H, W]; 0, 0 if there is none."""
    rows, columns = (np.flatnonzero(valid.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return 0, 0
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
