"""Boundaries: which pixels lie between two things, matched with tolerance."""

from functools import partial

from torch import Tensor

from mtlrun.core.task import Metric, Output, Task
from mtlrun.tasks._balanced import weighted_cross_entropy

POSITIVE_WEIGHT = 0.95


def boundaries(
    name: str = "boundaries", *, tolerance: float = 0.0075, num_thresholds: int = 99
) -> Task:
    """The task of finding boundaries: weighted cross entropy as loss, `ods_f` as metric.

    Source: Martin et al., Learning to Detect Natural Image Boundaries, PAMI 2004, Section 3, for
    the metric; loss weights of Selective Task Group Updates: 0.95 on boundaries, 0.05 elsewhere.
    Differs: matched pixels are as many as can be, without regard to their distances; the
    benchmark's approximate solver minimises these as well.

    Predictions are logits [B, 1, H, W], targets [B, 1, H, W] in 0..1, boundaries from 0.5 on;
    targets that are not a number are invalid. `ods_f` is the largest F measure in 0..1 over one
    threshold for the whole set; at each the pixels found are thinned and matched with the thinned
    target's one to one, within the tolerance.

    Args:
        name: On the command line.
        tolerance: Largest distance of matched pixels, as a share of the image's diagonal without
            padding (pixels that are not a number around the others).
        num_thresholds: N, at probabilities 1 / (N + 1) to N / (N + 1). Time grows with it.

    Raises:
        ValueError: If the tolerance is negative or there is no threshold.
    """
    if tolerance < 0 or num_thresholds < 1:
        raise ValueError(
            f"`tolerance` should not be negative and `num_thresholds` 1 at least. "
            f"Found `tolerance = {tolerance}`, `num_thresholds = {num_thresholds}`."
        )
    return Task(
        name,
        Output("dense", 1),
        loss=boundary_cross_entropy,
        metrics={"ods_f": partial(_ods_f, tolerance, num_thresholds)},
        directions={"ods_f": True},
    )


def boundary_cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of [B, 1, H, W] logits, 0.95 on boundaries and 0.05 elsewhere."""
    return weighted_cross_entropy(prediction, target, positive=POSITIVE_WEIGHT)


def _ods_f(tolerance: float, num_thresholds: int) -> Metric:
    from mtlrun.tasks._boundary_metric import OdsF

    return OdsF(tolerance=tolerance, num_thresholds=num_thresholds)
