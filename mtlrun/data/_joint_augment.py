"""Augmentations of a picture and its maps together, and how both become inputs and targets."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from mtlrun.data._listed_files import IGNORED
from mtlrun.data._raycast import Array

SCALES = (0.5, 2.0)
LARGEST_SHARE = 0.75
TRIES = 10
BRIGHTNESS = 32
CONTRAST = SATURATION = (0.5, 1.5)
HUE = 0.1  # of the circle
MEANS = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]  # of ImageNet
DEVIATIONS = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
PADDING: Mapping[str, float] = {
    "image": 0.0, "segmentation": IGNORED, "human_parts": IGNORED, "depth": 0.0, "normals": 0.0,
    "edges": np.nan, "saliency": np.nan,
}  # fmt: skip

Example = Mapping[str, Array]


def augmented(example: Example, size: tuple[int, int], seed: int) -> dict[str, Array]:
    """An example scaled by 0.5 to 2, cropped, half of the time mirrored, its picture's colours moved.

    A crop is drawn again, ten times at most, while a class has 0.75 or more of its labelled pixels. Depth is
    divided by the scale; mirrored normals turn their first component. Maps take the nearest pixel,
    the picture is bilinear, averaging over what a pixel covers.

    Args:
        example: `image` [3, H, W] uint8, `segmentation` [H, W], and maps [..., H, W] by task.
        size: H and W of the crop, which is smaller where the scaled picture is.
        seed: Of the draws.

    Returns:
        The same, of the crop's size.
    """
    rng = np.random.default_rng(seed)
    scale = rng.uniform(*SCALES)
    found = example["image"].shape[1:]
    scaled = [max(int(own * scale), 1) for own in found]
    crop = [min(own, most) for own, most in zip(scaled, size, strict=True)]
    for _ in range(TRIES):
        corner = [int(rng.integers(own - c + 1)) for own, c in zip(scaled, crop, strict=True)]
        rows, columns = (
            ((first + np.arange(c) + 0.5) * own / s).astype(int)
            for first, c, own, s in zip(corner, crop, found, scaled, strict=True)
        )
        if is_varied(example["segmentation"][rows[:, None], columns]):
            break
    mirrored = bool(rng.integers(2))
    result = {}
    for name, values in example.items():
        if name == "image":
            ends = [first + c for first, c in zip(corner, crop, strict=True)]
            edges = [
                min(place * own / s, own)
                for pair in (corner, ends)
                for place, own, s in zip(pair, found, scaled, strict=True)
            ]
            chosen = _resized(values, crop, edges)
            chosen = distorted(chosen, rng)
        else:
            chosen = values[..., rows[:, None], columns]
        if name == "depth":
            chosen = (chosen / scale).astype(np.float32)
        if mirrored:
            chosen = chosen[..., ::-1].copy()
            if name == "normals":
                np.negative(chosen[0], out=chosen[0])
        result[name] = chosen
    return result


def is_varied(labels: Array) -> bool:
    """Whether several classes are labelled, and none has 0.75 or more of the labelled pixels."""
    counts = np.bincount(labels[labels != IGNORED].ravel())
    return bool((counts > 0).sum() > 1 and counts.max() < LARGEST_SHARE * counts.sum())


def distorted(image: Array, rng: np.random.Generator) -> Array:
    """A picture [3, H, W] uint8 with brightness, contrast, saturation and hue moved, each half of the time.

    Contrast is moved before or after the colours, by chance.
    """
    coins = rng.integers(2, size=5).astype(bool)
    brightness = rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    contrast, saturation = rng.uniform(*CONTRAST), rng.uniform(*SATURATION)
    hue = rng.uniform(-HUE, HUE)
    values = image.astype(np.float32)
    if coins[0]:
        values = np.clip(values + np.float32(brightness), 0, 255)
    if coins[1] and coins[4]:
        values = np.clip(values * np.float32(contrast), 0, 255)
    if coins[2] or coins[3]:
        picture = Image.fromarray(values.astype(np.uint8).transpose(1, 2, 0)).convert("HSV")
        colours = np.asarray(picture).astype(np.float32)
        if coins[2]:
            colours[..., 1] = np.clip(colours[..., 1] * saturation, 0, 255)
        if coins[3]:
            colours[..., 0] = (colours[..., 0] + hue * 256) % 256
        bands = colours.astype(np.uint8).transpose(2, 0, 1)
        moved = Image.merge("HSV", [Image.fromarray(band) for band in bands]).convert("RGB")
        values = np.asarray(moved).transpose(2, 0, 1).astype(np.float32)
    if coins[1] and not coins[4]:
        values = np.clip(values * np.float32(contrast), 0, 255)
    return values.astype(np.uint8)


def finished(example: Example, size: tuple[int, int]) -> dict[str, Array]:
    """An example as inputs and targets: the picture normalised, everything padded around the middle.

    Labels are int64. Where no pixel shows a part of a body, `human_parts` counts nowhere.

    Args:
        example: `image` [3, H, W] uint8 and maps [..., H, W] by task, no larger than the size.
        size: H and W of the result.
    """
    result = {}
    for name, stored in example.items():
        values = stored
        if name == "image":
            values = (values / np.float32(255) - MEANS) / DEVIATIONS
        elif name == "human_parts" and not ((values != 0) & (values != IGNORED)).any():
            values = np.full_like(values, IGNORED)
        kind = np.dtype(np.float32 if values.dtype.kind == "f" else np.int64)
        padded = np.full((*values.shape[:-2], *size), PADDING[name], kind)
        top, left = ((most - own) // 2 for most, own in zip(size, values.shape[-2:], strict=True))
        padded[..., top : top + values.shape[-2], left : left + values.shape[-1]] = values
        result[name] = padded
    return result


def _resized(image: Array, size: list[int], edges: list[float]) -> Array:
    """A part of a picture, whose top, left, bottom and right edges lie between pixels, at a size."""
    top, left, bottom, right = edges
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    resized = picture.resize(
        (size[1], size[0]), Image.Resampling.BILINEAR, box=(left, top, right, bottom)
    )
    return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))
