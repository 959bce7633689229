"""What a copy of a dataset of domains is like, and what is wrong with it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from mtlrun.core.batch import TaskName
from mtlrun.core.data import DataError, Finding, SplitName
from mtlrun.data._domain_draw import Rows
from mtlrun.data._domain_layout import SHOWN, Layout, Opened
from mtlrun.data._image_features import PictureDomain
from mtlrun.data._picture_file import read_rgb
from mtlrun.data._raycast import Array

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")


class Source(Protocol):
    """A dataset that can be checked."""

    @property
    def layout(self) -> Layout:
        """What the dataset is called, and its parts."""
        ...

    @property
    def chosen(self) -> Sequence[TaskName] | None:
        """The domains asked for."""
        ...

    @property
    def opened(self) -> Opened:
        """What the files hold."""
        ...

    @property
    def rows(self) -> Mapping[TaskName, Rows]:
        """Which examples are in which split."""
        ...

    def read(self, task: TaskName, rows: Array, *, augmented: bool) -> Array:
        """Features."""
        ...


def findings(source: Source) -> Iterator[Finding]:
    """Facts and faults; every file is read, and pictures are decoded but not turned into features."""
    try:
        opened = source.opened
    except DataError as error:
        yield Finding(True, str(error))
        return
    yield Finding(
        False,
        f"{opened.told} in `{opened.where}`: {len(opened.domains)} domains, {len(opened.classes)} "
        f"classes ({source.layout.num_classes} in the published copy), features of {opened.width} "
        f"numbers.",
    )
    for task in source.chosen or source.layout.domains:
        if task in opened.domains:
            yield from _domain(task, source)
        else:
            yield Finding(False, f"{task}: no files; it is no task.")
    try:
        rows = source.rows
    except DataError as error:
        yield Finding(True, str(error))
        return
    for split in SPLITS:
        counts = ", ".join(f"{task} {len(getattr(own, split))}" for task, own in rows.items())
        yield Finding(False, f"Split `{split}`: {counts}.")


def _domain(task: TaskName, source: Source) -> Iterator[Finding]:
    opened, layout = source.opened, source.layout
    domain = opened.domains[task]
    counts = np.bincount(domain.labels, minlength=len(opened.classes))
    least, most = int(counts.argmin()), int(counts.argmax())
    official = layout.counts.get(task)
    told = "" if official in (None, len(domain.labels)) else f" ({official} in the published copy)"
    yield Finding(
        False,
        f"{task}: {len(domain.labels)} examples{told}; of a class from {counts[least]} "
        f"({opened.classes[least]}) to {counts[most]} ({opened.classes[most]}).",
    )
    if isinstance(domain, PictureDomain):
        yield from _broken(domain)
        return
    try:
        values = source.read(task, np.arange(len(domain.labels)), augmented=False)
    except DataError as error:
        yield Finding(True, str(error))
        return
    copies = len(values) - len({row.tobytes() for row in values})
    if copies:
        yield Finding(
            False,
            f"{task}: {copies} examples have the features of another one, and may be trained on and "
            f"tested.",
        )


def _broken(domain: PictureDomain) -> Iterator[Finding]:
    broken = 0
    for path in domain.paths:
        try:
            read_rgb(path)
        except DataError as error:
            broken += 1
            if broken <= SHOWN:
                yield Finding(True, str(error))
    if broken > SHOWN:
        yield Finding(True, f"{broken - SHOWN} more pictures of `{domain.where}` are broken.")
