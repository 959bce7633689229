"""What examples of pictures with maps are like: counts, ranges, and what cannot be read."""

import math
from collections.abc import Iterator, Mapping, Sequence
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
            low, high = ranges[name]
            ranges[name] = (
                min(low, float(np.fmin.reduce(values, None))),
                max(high, float(np.fmax.reduce(values, None))),
            )
            if np.isinf(values).any() or (name in LIMITS and np.isnan(values).any()):
                invalid = "" if name == "image" else ", 0 where invalid"
                errors.append(
                    f"`{name}` of `{example}` should hold finite numbers{invalid}. Found others. Get it "
                    f"anew."
                )
    for text in errors[:SHOWN]:
        yield Finding(True, text)
    if len(errors) > SHOWN:
        yield Finding(True, f"Split `{split}`: {len(errors) - SHOWN} more errors.")
    for name, (low, high) in ranges.items():
        if low > high:
            continue
        yield Finding(False, f"`{split}` {name}: values {low:.4g}..{high:.4g}.")
        least, most = LIMITS.get(name, (-math.inf, math.inf))
        if low < least or high > most:
            yield Finding(
                True,
                f"`{name}` of split `{split}` should hold values {least}..{most}. Found "
                f"{low:.4g}..{high:.4g}. Preprocess the files anew.",
            )
