"""Taskonomy's domains: what their files hold, and how it becomes a target."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from scipy import ndimage

from mtlrun.core.task import Task
from mtlrun.data._raycast import Array
from mtlrun.tasks.curvature import curvature
from mtlrun.tasks.depth import depth
from mtlrun.tasks.normals import normals
from mtlrun.tasks.regression import regression
from mtlrun.tasks.segmentation import segmentation

Scaling = Literal["a", "b"]

IGNORED = 255
NUM_CLASSES = 17  # the files' labels 1 to 17; 0 is unlabelled
WHOLE = 2**16
MISSING_DEPTH = WHOLE - 1
FAR: Mapping[Scaling, int] = {"a": 64_500, "b": 2**13}  # this depth and more is undefined


@dataclass(frozen=True)
class Domain:
    """What the files of a domain hold.

    Attributes:
        channels: That are read; a file has as many at least.
        bits: Of a number, 8 or 16.
        geometric: Whether scaling b takes it as undefined where depth is.
    """

    channels: int
    bits: Literal[8, 16]
    geometric: bool


DOMAINS: Mapping[str, Domain] = {
    "segment_semantic": Domain(1, 8, False),
    "depth_zbuffer": Domain(1, 16, True),
    "normal": Domain(3, 8, True),
    "keypoints2d": Domain(1, 16, False),
    "edge_texture": Domain(1, 16, False),
    "depth_euclidean": Domain(1, 16, True),
    "edge_occlusion": Domain(1, 16, True),
    "keypoints3d": Domain(1, 16, True),
    "principal_curvature": Domain(2, 8, True),
    "reshading": Domain(3, 8, True),
    "segment_unsup2d": Domain(1, 8, False),
    "segment_unsup25d": Domain(1, 8, True),
}
FIVE = ("segment_semantic", "depth_zbuffer", "normal", "keypoints2d", "edge_texture")
ELEVEN = (
    "depth_euclidean", "depth_zbuffer", "edge_occlusion", "edge_texture", "keypoints2d",
    "keypoints3d", "normal", "principal_curvature", "reshading", "segment_unsup2d",
    "segment_unsup25d",
)  # fmt: skip


def make_task(name: str, scaling: Scaling) -> Task:
    """The task of a domain."""
    if name == "segment_semantic":
        return segmentation(name, num_classes=NUM_CLASSES, ignore_index=IGNORED, pixel_error=True)
    if name == "normal":
        return normals(name)
    if name == "principal_curvature":
        return curvature(name)
    if name.startswith("depth") and scaling == "a":
        return depth(name, rmse=False)
    return regression(name, channels=3 if (name, scaling) == ("reshading", "a") else 1)


def make_target(name: str, scaling: Scaling, numbers: Array, defined: Array) -> Array:
    """The target of a file.

    Args:
        name: Of the domain.
        scaling: Whose.
        numbers: [C, H, W] int32, as the file holds them.
        defined: [H, W] bool, where geometric domains are.

    Returns:
        [H, W] int64 labels or [C, H, W] float32: not a number where undefined, but 0 for normals and
        for depth in scaling a.

    Raises:
        ValueError: If a label is unknown.
    """
    if name == "segment_semantic":
        return _labels(numbers[0])
    target: Array = _map_of(name, scaling)(numbers.astype(np.float32)).astype(np.float32)
    if not DOMAINS[name].geometric:
        return target
    known = defined & _known(name, scaling, numbers)
    own_mark = name == "normal" or (name.startswith("depth") and scaling == "a")
    masked: Array = np.where(known, target, np.float32(0 if own_mark else np.nan))
    return masked


def is_deep(scaling: Scaling, numbers: Array) -> Array:
    """Where a file of depth [1, H, W] says that depth is defined, [H, W] bool."""
    deep: Array = (numbers[0] > 0) & (numbers[0] < FAR[scaling])
    return deep


def _known(name: str, scaling: Scaling, numbers: Array) -> Array:
    """[H, W] bool, where a file itself says that it is defined."""
    if name.startswith("depth"):
        return is_deep(scaling, numbers)
    if name == "normal":  # undefined pixels are grey
        known: Array = ~((numbers == 127) | (numbers == 128)).all(axis=0)
        return known
    return np.ones(numbers.shape[1:], bool)


def _labels(numbers: Array) -> Array:
    if numbers.max(initial=0) > NUM_CLASSES:
        raise ValueError(f"labels 0..{NUM_CLASSES}. Found label {int(numbers.max())}")
    return np.where(numbers == 0, IGNORED, numbers - 1).astype(np.int64)


def _log_depth(x: Array) -> Array:
    logarithms: Array = np.log1p(x) / math.log(WHOLE)
    return logarithms


def _clipped(x: Array, *, limit: float) -> Array:
    return np.clip(x / limit, 0, 1) * 2 - 1


def _blurred(x: Array, *, limit: float) -> Array:
    blurred: Array = ndimage.gaussian_filter(np.clip(x / limit, 0, 1), (0, 4, 4))
    return blurred * 2 - 1


def _standardised(x: Array, *, means: Sequence[float], deviations: Sequence[float]) -> Array:
    mean, deviation = (np.array(own, np.float32)[:, None, None] for own in (means, deviations))
    return (x - mean) / deviation


def _mean_shading(x: Array) -> Array:
    shading: Array = x.mean(axis=0, keepdims=True) / 255
    return (shading - 0.4962) / 0.2846


def _curvature_of_bytes(x: Array) -> Array:
    return _standardised(x / 255, means=(0.5175, 0.4987), deviations=(0.1373, 0.0359))


Map = Callable[[Array], Array]
_BYTES: Map = partial(_clipped, limit=255)
_A: Mapping[str, Map] = {
    "depth_zbuffer": _log_depth,
    "depth_euclidean": _log_depth,
    "keypoints2d": partial(_clipped, limit=0.005 * WHOLE),
    "keypoints3d": partial(_clipped, limit=WHOLE),
    "edge_texture": partial(_clipped, limit=0.08 * WHOLE),
    "edge_occlusion": partial(_blurred, limit=0.00625 * WHOLE),
    "principal_curvature": partial(
        _standardised, means=(123.572, 120.1), deviations=(31.922, 21.658)
    ),
}
_B: Mapping[str, Map] = {
    "depth_zbuffer": partial(_standardised, means=(1500,), deviations=(1000,)),
    "depth_euclidean": partial(_standardised, means=(1500,), deviations=(1000,)),
    "keypoints2d": partial(_standardised, means=(50,), deviations=(100,)),
    "edge_texture": partial(_standardised, means=(718,), deviations=(1070,)),
    "edge_occlusion": partial(_standardised, means=(56.0248,), deviations=(239.1265,)),
    "reshading": _mean_shading,
    "principal_curvature": _curvature_of_bytes,
}


def _map_of(name: str, scaling: Scaling) -> Map:
    """Scaling b has none for some domains: a's."""
    own = _B if scaling == "b" else _A
    return own.get(name, _A.get(name, _BYTES))
