"""Saliency: which pixels show what catches the eye."""

from mtlrun.core.task import Metric, Output, Task
from mtlrun.tasks._balanced import class_balanced_cross_entropy


def saliency(name: str = "saliency") -> Task:
    """The task of telling what is salient: class-balanced cross entropy; `max_f` leads, `miou` follows.

    Source: the metrics of Selective Task Group Updates (`max_f`) and of Deep Safe Multi-Task Learning
    (both).
    Differs: one logit a pixel, as the parameter counts of the latter's Table 3 have it, instead of
    two scores; the released code of the former passes probabilities through a sigmoid again before
    it takes thresholds.

    Predictions are logits [B, 1, H, W], targets [B, 1, H, W] in 0..1, positive from 0.5 on; targets
    that are not a number are invalid. `max_f` is the largest over the thresholds .05, .10 ... .95 of
    the F measure (beta^2 = .3) of the whole set's counts, `miou` the mean of the intersections over
    unions of both classes at p = 0.5; both in 0..1.

    Args:
        name: On the command line.
    """
    return Task(
        name,
        Output("dense", 1),
        loss=class_balanced_cross_entropy,
        metrics={"max_f": _max_f, "miou": _mean_iou},
        directions={"max_f": True, "miou": True},
    )


def _max_f() -> Metric:
    from mtlrun.tasks._threshold_counts import MaxF

    return MaxF()


def _mean_iou() -> Metric:
    from mtlrun.tasks._threshold_counts import BinaryMeanIoU

    return BinaryMeanIoU()
