"""The scale of features."""

from typing import Literal

import numpy as np

from mtlrun.data._raycast import Array

Scale = Literal["none", "zscore", "l2"]


def scaled(values: Array, scale: Scale, *, train: Array | None = None) -> Array:
    """Features [n, D] float32 on a scale.

    Args:
        values: [n, D].
        scale: "l2" for rows of length sqrt(D), rows of zeros stay; "zscore" for columns less their
            mean in `train`, by their deviation there (1 where that is 0).
        train: [N, D], for "zscore".
    """
    if scale == "none":
        return values
    if scale == "l2":
        length = np.linalg.norm(values, axis=1, keepdims=True)
        unit = values / np.where(length > 0, length, 1)
        return np.asarray(unit * np.sqrt(values.shape[1]), np.float32)
    assert train is not None
    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    return np.asarray((values - mean) / np.where(deviation > 0, deviation, 1), np.float32)
