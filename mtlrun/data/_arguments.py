"""Arguments that datasets have in common."""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from mtlrun.core.task import Task


def chosen_tasks(own: Mapping[str, Task], names: Sequence[str] | None) -> tuple[Task, ...]:
    """The tasks of a dataset that are kept.

    Args:
        own: All of them by name.
        names: Those to keep, in the order of tables; None for all.

    Raises:
        ValueError: If there is none, or one is unknown or named twice.
    """
    kept = tuple(own if names is None else names)
    if not kept or len(set(kept)) < len(kept) or not set(kept) <= set(own):
        raise ValueError(
            f"`tasks` should name one or more of {', '.join(own)}, each once. Found "
            f"`tasks = {list(kept)}`. Set data.tasks."
        )
    return tuple(own[name] for name in kept)


def check_share(val_share: float) -> None:
    """Raises where nothing would be left to train on.

    Raises:
        ValueError: If the share that is held out is negative, or not below 1.
    """
    if not 0 <= val_share < 1:
        raise ValueError(
            f"`val_share` should be 0 or more and below 1. Found `val_share = {val_share}`. Set "
            f"data.val_share."
        )


def near_misses(word: str, known: Iterable[str]) -> str:
    """A question that names the nearest known words; empty if none is near."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(f'`{own}`' for own in near)}?" if near else ""
