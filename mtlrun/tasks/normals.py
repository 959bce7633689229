"""Surface normals: the direction that every pixel's surface faces."""

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from mtlrun.core.task import Metric, Output, Task
from mtlrun.tasks._masked import check_dense, known, masked_mean

BINS_A_DEGREE = 1024


def normals(name: str = "normals", *, loss: Literal["cosine", "l1"] = "cosine") -> Task:
    """The task of estimating normals: 1 - cosine or absolute error as loss; `mean_angle` leads.

    Predictions [B, 3, H, W] are normalised by loss and metrics; targets are too, and those that are
    (0, 0, 0) or have a component that is not a number are invalid. Metrics are pooled over all valid
    pixels of the set: `mean_angle` and `median_angle` in degrees (the median within 0.0005), and the
    shares `within_11`, `within_22`, `within_30` of angles below 11.25, 22.5 and 30 degrees.

    Args:
        name: On the command line.
        loss: "cosine", or "l1" of unit vectors, as Selective Task Group Updates has it.

    Raises:
        ValueError: If the loss is neither.
    """
    losses = {"cosine": one_minus_cosine, "l1": unit_absolute_error}
    if loss not in losses:
        raise ValueError(f"The loss of normals should be cosine or l1. Found `{loss}`.")
    return Task(
        name,
        Output("dense", 3),
        loss=losses[loss],
        metrics={
            "mean_angle": _mean_angle,
            "median_angle": _median_angle,
            "within_11": partial(_within, 11.25),
            "within_22": partial(_within, 22.5),
            "within_30": partial(_within, 30.0),
        },
        directions={
            "mean_angle": False,
            "median_angle": False,
            "within_11": True,
            "within_22": True,
            "within_30": True,
        },
    )


def one_minus_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cosine between [B, 3, H, W] vectors over the valid pixels; 0 if there is none."""
    p, t, valid = _units(prediction, target)
    return masked_mean(1 - (p * t).sum(dim=1), valid)


def unit_absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over the valid pixels of |p - t| summed over the three components of unit vectors; 0 if there is none.

    Args:
        prediction: [B, 3, H, W] of any length.
        target: [B, 3, H, W] of any length, (0, 0, 0) or not a number where invalid.
    """
    p, t, valid = _units(prediction, target)
    return masked_mean((p - t).abs().sum(dim=1), valid)


def angles(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Angles [B, H, W] in degrees, and which are valid.

    Of unit vectors p and t they are 2 atan2(|p - t|, |p + t|), which is exact where the cosine is
    near 1; a prediction of zeros is 90 degrees off.
    """
    p, t, valid = _units(prediction, target)
    half = torch.atan2((p - t).norm(dim=1), (p + t).norm(dim=1))
    return half * (360 / math.pi), valid


def angles_below(limit: float, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """1 where the angle is below a limit in degrees and else 0, and which are valid."""
    found, valid = angles(prediction, target)
    return (found < limit).to(found), valid


def _units(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both [B, 3, H, W] of length 1, the target 0 where it is invalid, and where it is valid, [B, H, W]."""
    check_dense(prediction, target)
    own, valid = known(target)
    return F.normalize(prediction, dim=1), F.normalize(own, dim=1), valid


def _mean_angle() -> Metric:
    from mtlrun.tasks._pooled import PooledMean

    return PooledMean(angles)


def _median_angle() -> Metric:
    from mtlrun.tasks._pooled import PooledMedian

    return PooledMedian(angles, largest=180.0, bins=180 * BINS_A_DEGREE)


def _within(limit: float) -> Metric:
    from mtlrun.tasks._pooled import PooledShare

    return PooledShare(partial(angles_below, limit))
