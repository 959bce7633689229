"""Finds the features of domains in a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mtlrun.core.batch import TaskName
from mtlrun.core.data import DataError
from mtlrun.data._arguments import near_misses
from mtlrun.data._domain_layout import Layout, Opened, subfolders
from mtlrun.data._mat_features import open_mats
from mtlrun.data._npy_features import open_npys


def open_features(
    folder: Path, layout: Layout, *, descriptor: str | None, chosen: Sequence[TaskName] | None
) -> Opened:
    """The features in a folder: DOMAIN.mat, or [images/]DOMAIN/CLASS/NAME.npy.

    Args:
        folder: Or the one that holds it.
        layout: Of the dataset.
        descriptor: The name of the folder in it, without numbers; None for the folder itself, or the
            only one in it.
        chosen: The domains asked for; None for all that are there.

    Raises:
        DataError: If files are missing or corrupt.
        ValueError: If there is no such descriptor.
    """
    if not folder.is_dir():
        raise layout.missing(folder, "a folder of features")
    folder = _described(folder, layout, descriptor)
    if files := kept(layout.found(folder.glob("*.mat")), chosen):
        return open_mats(files, layout)
    for own in (folder, folder / "images"):
        if found := kept(layout.found(subfolders(own)), chosen):
            return open_npys(found)
    raise layout.missing(folder, "DOMAIN.mat, or DOMAIN/CLASS/NAME.npy")


def kept(found: Mapping[TaskName, Path], chosen: Sequence[TaskName] | None) -> dict[TaskName, Path]:
    """Those of the domains asked for; none if there is no domain at all.

    Raises:
        DataError: If some of them are there and others not.
    """
    if chosen is None or not found:
        return dict(found)
    if absent := [task for task in chosen if task not in found]:
        raise DataError(
            f"`{next(iter(found.values())).parent}` should hold each domain asked for. Found no "
            f"{', '.join(absent)}, only {', '.join(found)}. Set data.domains."
        )
    return {task: found[task] for task in chosen}


def _described(folder: Path, layout: Layout, descriptor: str | None) -> Path:
    """The folder of a descriptor."""
    within = {
        own.name.lower().rstrip("0123456789_-"): own
        for own in subfolders(folder)
        if layout.found(own.glob("*"))
    }
    if descriptor is None:
        here = layout.found(folder.glob("*"))
        if here or "images" in within or not within:
            return folder
        if len(within) == 1:
            return next(iter(within.values()))
    elif descriptor.lower() in within:
        return within[descriptor.lower()]
    raise ValueError(
        f"`descriptor` should be one of the folders of `{folder}`: {', '.join(within) or 'none'}. "
        f"Found `descriptor = {'null' if descriptor is None else descriptor}`."
        f"{near_misses((descriptor or '').lower(), within)} Set data.descriptor."
    )
