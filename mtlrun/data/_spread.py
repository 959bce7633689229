"""Some of many, evenly spaced."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """All items if they are no more than `most`, else as many, evenly spaced, the first among them."""
    count = min(len(items), most)
    return [items[k * len(items) // count] for k in range(count)]
