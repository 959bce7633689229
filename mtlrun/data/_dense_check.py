"""What examples of pictures with maps are like: counts, ranges, and what cannot be read."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from mtlrun.core.data import DataError, Finding, SplitName
from mtlrun.data._raycast import Array

SHOWN = 5
LIMITS = {"image": (0.0, 1.0), "depth": (0.0, math.inf), "normals": (-1.01, 1.01)}


class Examples(Protocol):
    """A dataset that can be checked."""

    def examples(self, split: SplitName) -> Sequence[str]:
        """Names, in order."""
        ...

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """By name; labels have two axes."""
        ...

    def fill(self, example: str, maps: Mapping[str, Array]) -> None:
        """Writes an example."""
        ...

    def path(self, example: str, name: str) -> Path:
        """Of the file that a map is in."""
        ...


def check_examples(split: SplitName, source: Examples) -> Iterator[Finding]:
    """Reads every example of a split.

    Args:
        split: Its name.
        source: The dataset.
    """
    try:
        examples = source.examples(split)
    except DataError as error:
        yield Finding(True, str(error))
        return
    shapes = source.shapes()
    height, width, _ = shapes["image"]
    yield Finding(False, f"Split `{split}`: {len(examples)} examples of {height}x{width}.")
    maps: dict[str, Array] = {
        name: np.empty(shape, np.int64 if len(shape) == 2 else np.float32)
        for name, shape in shapes.items()
    }
    ranges = dict.fromkeys(shapes, (math.inf, -math.inf))
    errors = []
    for example in examples:
        try:
            source.fill(example, maps)
        except DataError as error:
            errors.append(str(error))
            continue
        for name, values in maps.items():
            own = float(np.fmin.reduce(values, None)), float(np.fmax.reduce(values, None))
            low, high = ranges[name]
            ranges[name] = min(low, own[0]), max(high, own[1])
            fault = _fault(name, values, own)
            if fault:
                errors.append(
                    f"`{source.path(example, name)}` should hold {fault} Preprocess the files anew "
                    f"(`{name}` of `{example}`)."
                )
    for text in errors[:SHOWN]:
        yield Finding(True, text)
    if len(errors) > SHOWN:
        yield Finding(True, f"Split `{split}`: {len(errors) - SHOWN} more errors.")
    for name, (low, high) in ranges.items():
        if low > high:
            continue
        yield Finding(False, f"`{split}` {name}: values {low:.4g}..{high:.4g}.")


def _fault(name: str, values: Array, own: tuple[float, float]) -> str:
    """What a map, of these least and largest numbers, should hold and holds; nothing if it is right."""
    if np.isinf(values).any() or (name in LIMITS and np.isnan(values).any()):
        invalid = "" if name == "image" else ", 0 where invalid"
        return f"finite numbers{invalid}. Found others."
    least, most = LIMITS.get(name, (-math.inf, math.inf))
    if own[0] < least or own[1] > most:
        return f"values {least}..{most}. Found {own[0]:.4g}..{own[1]:.4g}."
    return ""
