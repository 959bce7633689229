"""Checks of what a dataset of domains is given."""

from collections.abc import Sequence

from mtlrun.core.batch import TaskName
from mtlrun.data._arguments import near_misses
from mtlrun.data._domain_layout import Layout

SMALLEST = 8  # pixels


def chosen_domains(names: Sequence[str] | None, layout: Layout) -> tuple[TaskName, ...] | None:
    """The domains asked for, in their order; None for all that are there.

    Raises:
        ValueError: If there is none, or one is unknown or named twice.
    """
    if names is None:
        return None
    for name in names:
        if name not in layout.domains:
            raise ValueError(
                f"`domains` should be among {', '.join(layout.domains)}. Found `{name}`."
                f"{near_misses(name, layout.domains)} Set data.domains."
            )
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"`domains` should name one or more domains, each once. Found `domains = {list(names)}`. "
            f"Set data.domains."
        )
    return tuple(names)


def check_numbers(train_share: float, val: str, val_per_class: int, image_size: int) -> None:
    """Raises where a number is out of range.

    Raises:
        ValueError: With the number.
    """
    if not 0 < train_share <= 1:
        raise ValueError(
            f"`train_share` should be above 0 and at most 1. Found `train_share = {train_share}`. Set "
            f"data.train_share."
        )
    if val not in ("train", "test"):
        raise ValueError(f"`val` should be train or test. Found `val = {val}`. Set data.val.")
    if val_per_class < 0 or (val_per_class and val == "test"):
        raise ValueError(
            f"`val_per_class` should be 0 or more, and 0 with `val = test`. Found `val_per_class = "
            f"{val_per_class}` and `val = {val}`. Set data.val_per_class or data.val."
        )
    if image_size < SMALLEST:
        raise ValueError(
            f"`image_size` should be at least {SMALLEST}. Found `image_size = {image_size}`. Set "
            f"data.image_size."
        )
