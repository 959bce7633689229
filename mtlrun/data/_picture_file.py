"""Picture files, decoded with errors that name them."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from mtlrun.core.data import DataError
from mtlrun.data._raycast import Array

# What Pillow raises for files that are missing, cut off, or no pictures.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    UnidentifiedImageError,
    Image.DecompressionBombError,
)


def read_rgb(path: Path, *, size: tuple[int, int] | None = None, where: str = "") -> Array:
    """A picture as [3, H, W] uint8.

    Args:
        path: Of a file in any format that Pillow reads.
        size: H and W; bilinear, averaging over what a pixel covers. None for the file's own.
        where: Which line of which list asks for it, for the message.

    Raises:
        DataError: If the file is missing or damaged.
    """
    picture = _open(path, where).convert("RGB")
    if size is not None and picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))


def read_numbers(path: Path, *, size: tuple[int, int] | None = None, where: str = "") -> Array:
    """The numbers of a picture's pixels: 16-bit ones unshortened, places in a palette as they are.

    Args:
        path: Of a file with one or three channels a pixel.
        size: H and W, by the nearest pixel; None for the file's own.
        where: Which line of which list asks for it, for the message.

    Returns:
        [C, H, W] int32.

    Raises:
        DataError: If the file is missing or damaged.
    """
    picture = _open(path, where)
    if picture.mode in ("RGBA", "LA"):
        picture = picture.convert(picture.mode[:-1])
    numbers = np.asarray(picture).astype(np.int32)
    numbers = numbers[None] if numbers.ndim == 2 else numbers.transpose(2, 0, 1)
    if size is not None and numbers.shape[1:] != size:
        rows, columns = (
            ((np.arange(wanted) + 0.5) * found / wanted).astype(int)
            for wanted, found in zip(size, numbers.shape[1:], strict=True)
        )
        numbers = numbers[:, rows[:, None], columns]
    return np.ascontiguousarray(numbers)


def read_size(path: Path) -> tuple[int, int]:
    """H and W of a picture, from its header.

    Raises:
        DataError: If the file is missing or no picture.
    """
    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except UNREADABLE as error:
        raise DataError(
            f"`{path}` should be a picture. Found: {error}. Get the file anew."
        ) from error


def _open(path: Path, where: str) -> Image.Image:
    asked = f" ({where})" if where else ""
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except FileNotFoundError as error:
        raise DataError(
            f"`{path}`{asked} should be a picture. Found no such file. Complete the copy of the data, "
            f"or set data.root to a complete one."
        ) from error
    except UNREADABLE as error:
        raise DataError(
            f"`{path}`{asked} should be a whole picture. Found one that cannot be decoded: {error}. "
            f"Get the file anew."
        ) from error
