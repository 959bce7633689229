"""What Taskonomy computes from the image itself: texture edges and keypoints."""

import numpy as np
from scipy import ndimage

from mtlrun.data._raycast import Array

EDGE_LIMIT = 0.12
KEYPOINT_LIMIT = 0.02


def edges_of(image: Array) -> Array:
    """How fast the grey image changes, [H, W] float32 in 0..1.

    The length of the gradient of the image, smoothed with a Gaussian of one pixel: Canny's filter
    without its thinning, as a smooth map; `EDGE_LIMIT` and more per pixel is 1.
    """
    grey = _grey(image)
    right = ndimage.gaussian_filter(grey, 1.0, order=(0, 1), truncate=3.0)
    down = ndimage.gaussian_filter(grey, 1.0, order=(1, 0), truncate=3.0)
    return _limited(np.hypot(right, down), EDGE_LIMIT)


def keypoints_of(image: Array) -> Array:
    """How much of a corner or blob there is, [H, W] float32 in 0..1.

    The square root of the determinant of the Hessian (0 where it is negative) of the grey image,
    smoothed with a Gaussian of 1.6 pixels: SURF's response at its finest scale; `KEYPOINT_LIMIT`
    and more is 1.
    """
    grey = _grey(image)
    across, along, mixed = (
        ndimage.gaussian_filter(grey, 1.6, order=order, truncate=3.0)
        for order in ((0, 2), (2, 0), (1, 1))
    )
    determinant = np.maximum(across * along - mixed * mixed, 0)
    return _limited(np.sqrt(determinant), KEYPOINT_LIMIT)


def _grey(image: Array) -> Array:
    """[H, W] float32 in 0..1 of [3, H, W] uint8, with the weights of luma."""
    red, green, blue = image.astype(np.float32)
    grey: Array = (0.299 * red + 0.587 * green + 0.114 * blue) / 255
    return grey


def _limited(values: Array, limit: float) -> Array:
    limited: Array = np.minimum(values / limit, 1).astype(np.float32, copy=False)
    return limited
