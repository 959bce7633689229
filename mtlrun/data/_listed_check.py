"""What is wrong with a copy of listed pictures."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mtlrun.core.data import DataError, Finding
from mtlrun.data._listed_files import (
    IGNORED,
    PARTS,
    ListedFiles,
    Part,
    read_target,
    size_that_holds,
    too_large,
)
from mtlrun.data._picture_file import read_rgb

SHOWN = 5  # broken files of a map that are named


def findings(
    files: ListedFiles,
    tasks: Sequence[str],
    *,
    size: tuple[int, int],
    padded: Callable[[Part, Sequence[str]], Sequence[str]],
) -> Iterator[Finding]:
    """Facts and faults, every file decoded.

    Args:
        files: Where they are.
        tasks: Names of those whose files are read.
        size: H and W of inputs.
        padded: Those of a list's pictures that are padded to the size and not cropped.
    """
    for part in PARTS:
        try:
            pictures = files.pictures(part, ())
        except DataError as error:
            yield Finding(True, str(error))
            continue
        count, published = len(pictures), files.published[part]
        told = "as published" if count == published else f"{published} in the published copy"
        yield Finding(False, f"List `{part}`: {count} pictures, {told}.")
        sizes: dict[str, tuple[int, ...]] = {}
        for what in ("image", *tasks):
            yield from _map(files, f"{part}/{what}", what, pictures, sizes)
        if sizes:
            shapes = Counter(sizes.values()).most_common()
            shown = ", ".join(f"{n} of {h}x{w}" for (h, w), n in shapes[:SHOWN])
            more = f", and {len(shapes) - SHOWN} more sizes" if len(shapes) > SHOWN else ""
            yield Finding(False, f"Pictures of `{part}`: {shown}{more} (height x width).")
        own = {picture: sizes[picture] for picture in padded(part, pictures) if picture in sizes}
        yield from _too_large(files, part, own, size)


def _too_large(
    files: ListedFiles, part: Part, sizes: dict[str, tuple[int, ...]], size: tuple[int, int]
) -> Iterator[Finding]:
    """Names the first of the pictures that the size does not hold."""
    larger = [own for own, found in sizes.items() if found[0] > size[0] or found[1] > size[1]]
    if larger:
        wanted = size_that_holds(sizes.values())
        (path,) = files.paths("image", larger[0])
        yield Finding(
            True,
            f"{too_large(path, sizes[larger[0]], size)} {len(larger)} pictures of list `{part}` are "
            f"larger; {wanted[0]}x{wanted[1]} holds all of it.",
        )


def _map(
    files: ListedFiles,
    title: str,
    what: str,
    pictures: Sequence[str],
    sizes: dict[str, tuple[int, ...]],
) -> Iterator[Finding]:
    """Reads `image`, whose sizes are kept, or a task's targets."""
    low, high, broken = np.inf, -np.inf, 0
    for picture in pictures:
        try:
            if what == "image":
                values = read_rgb(files.paths(what, picture)[0])
                sizes[picture] = values.shape[1:]
            else:
                values = read_target(files, what, picture, sizes.get(picture))
        except DataError as error:
            broken += 1
            if broken <= SHOWN:
                yield Finding(True, str(error))
            continue
        if values.dtype == np.uint8 and what != "image":
            values = values[values != IGNORED]
        values = values[~np.isnan(values)] if values.dtype.kind == "f" else values
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if broken > SHOWN:
        yield Finding(
            True,
            f"`{title}`: {broken - SHOWN} more files are missing or broken. {files.where_from}",
        )
    if low <= high:
        yield Finding(
            False, f"`{title}`: {len(pictures) - broken} maps, values {low:.4g}..{high:.4g}."
        )
    elif broken < len(pictures):
        yield Finding(True, f"`{title}` should hold valid pixels. Found none in any file.")
