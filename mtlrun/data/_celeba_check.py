"""What is wrong with a copy of CelebA."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mtlrun.core.data import DataError, Finding
from mtlrun.data._celeba_lists import (
    ATTRIBUTES_FILE,
    FIRST_LINE,
    PICTURES,
    WHERE_FROM,
    Lists,
    read_lists,
)
from mtlrun.data._picture_file import read_rgb

OFFICIAL = {"train": 162_770, "val": 19_867, "test": 19_962}
SHOWN = 5  # broken pictures that are named


def findings(root: Path) -> Iterator[Finding]:
    """Facts and faults of a folder, every picture decoded."""
    try:
        lists = read_lists(root)
    except DataError as error:
        yield Finding(True, str(error))
        return
    yield from _lists(lists)
    yield from _pictures(root, lists)


def _lists(lists: Lists) -> Iterator[Finding]:
    for code, (name, official) in enumerate(OFFICIAL.items()):
        count = int((lists.splits == code).sum())
        told = "as published" if count == official else f"{official} in the published copy"
        yield Finding(count == 0, f"Split `{name}`: {count} pictures in the lists, {told}.")
        own = lists.labels[lists.splits == code]
        constant = (
            np.flatnonzero(own.min(axis=0) == own.max(axis=0)) if count else np.array([], int)
        )
        if constant.size:
            shown = ", ".join(lists.attributes[k] for k in constant)
            yield Finding(
                False,
                f"Split `{name}`: each picture has the same label for {shown}: nothing to learn.",
            )
    yield Finding(False, f"{len(lists.attributes)} attributes, labels 0 and 1 as written 1 and -1.")


def _pictures(root: Path, lists: Lists) -> Iterator[Finding]:
    folder, broken, sizes = root / PICTURES, 0, Counter[tuple[int, ...]]()
    for row, name in enumerate(lists.names):
        try:
            picture = read_rgb(
                folder / name, where=f"line {row + FIRST_LINE} of `{ATTRIBUTES_FILE}`"
            )
        except DataError as error:
            broken += 1
            if broken <= SHOWN:
                yield Finding(True, str(error))
            continue
        sizes[picture.shape[1:]] += 1
    if broken > SHOWN:
        yield Finding(True, f"{broken - SHOWN} more pictures are missing or broken. {WHERE_FROM}")
    for (height, width), count in sizes.most_common(SHOWN):
        yield Finding(False, f"{count} pictures of {height}x{width} pixels, values 0..255.")
    if len(sizes) > SHOWN:
        yield Finding(False, f"Pictures of {len(sizes) - SHOWN} more sizes.")
