"""Lists of a domain's examples, a line each: PATH/CLASS/NAME LABEL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from mtlrun.core.data import DataError
from mtlrun.data._domain_layout import SHOWN, Domain, Opened
from mtlrun.data._raycast import Array


@dataclass(frozen=True)
class Listed:
    """The lines of a list.

    Attributes:
        path: Of the list.
        files: [n] as they are written.
        labels: [n].
    """

    path: Path
    files: tuple[PurePosixPath, ...]
    labels: tuple[int, ...]

    @property
    def names(self) -> list[str]:
        """[n] as CLASS/STEM, the stem cut at its first dot."""
        return [f"{file.parent.name}/{file.name.split('.')[0]}" for file in self.files]


@dataclass(frozen=True)
class Lists:
    """What a domain's examples are for."""

    train: Listed
    test: Listed

    def rows(self, domain: Domain, classes: Sequence[str]) -> tuple[Array, Array]:
        """Of training and of test examples.

        Raises:
            DataError: If an example is not there or in both lists, or a class has none to train on.
        """
        train, test = (np.unique(_rows(domain, own)) for own in (self.train, self.test))
        if (twice := np.intersect1d(train, test)).size:
            assert domain.names is not None
            raise DataError(
                f"An example should be trained on or tested. Found {len(twice)} in `{self.train.path}` "
                f"that are in `{self.test.path}` too, such as `{domain.names[int(twice[0])]}`. Take both "
                f"lists from the same copy."
            )
        counts = np.bincount(domain.labels[train], minlength=len(classes))
        if missing := [classes[c] for c in np.flatnonzero(counts == 0).tolist()]:
            raise DataError(
                f"`{self.train.path}` should list an example of every class. Found none of "
                f"{', '.join(missing[:SHOWN])}. Get the list anew, or set data.train_share to another "
                f"list's."
            )
        return train, test


def read_list(path: Path) -> Listed:
    """The lines of a list.

    Raises:
        DataError: If the file is missing or malformed.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"`{path}` should list examples, a line `PATH/CLASS/NAME LABEL` each. Found: {error}. "
            f"Complete the copy, or set data.lists and data.train_share to lists that are there."
        ) from error
    files, labels = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, *label = line.rsplit(maxsplit=1)  # a path may have blanks
        file = PurePosixPath(name.strip())
        if len(file.parts) < 2 or not label or not label[0].isdigit():
            raise DataError(
                f"Line {number} of `{path}` should hold PATH/CLASS/NAME and a label from 0. Found "
                f"`{line.strip()[:80]}`. Get the list anew."
            )
        files.append(file)
        labels.append(int(label[0]))
    if not files:
        raise DataError(f"`{path}` should list examples. Found no line. Get the list anew.")
    return Listed(path, tuple(files), tuple(labels))


def relabelled(opened: Opened, lists: Iterable[Listed]) -> Opened:
    """The same examples with the class numbers of lists.

    Raises:
        DataError: If a class has two numbers or none, or numbers are not 0 to C-1.
    """
    found: dict[str, int] = {}
    for listed in lists:
        for name, label in zip(listed.names, listed.labels, strict=True):
            word = name.split("/")[0]
            if found.setdefault(word, label) != label:
                raise DataError(
                    f"Lists should give each class one label. Found {found[word]} and {label} for "
                    f"`{word}` (`{listed.path}`). Take the lists from the same copy."
                )
    size = len(opened.classes)
    if sorted(found.values()) != list(range(size)) or set(found) != set(opened.classes):
        raise DataError(
            f"Lists should give the {size} classes of `{opened.where}` the labels 0..{size - 1}. Found "
            f"{len(found)} classes with labels {min(found.values())}..{max(found.values())}. Take "
            f"lists and data from the same copy."
        )
    order = np.array([found[name] for name in opened.classes])
    for domain in opened.domains.values():
        domain.labels = order[domain.labels]
    return replace(opened, classes=tuple(sorted(found, key=found.__getitem__)))


def _rows(domain: Domain, listed: Listed) -> Array:
    """The rows of a list's examples, in order."""
    if domain.names is None:
        raise DataError(
            f"Lists name files. Found features without names in `{domain.where}`. Set data.lists=null "
            f"and data.train_share, or data.features to npy files."
        )
    row_of = {name: row for row, name in enumerate(domain.names)}
    names = listed.names
    if missing := [name for name in names if name not in row_of]:
        raise DataError(
            f"`{domain.where}` should hold each example of `{listed.path}`. Found no `{missing[0]}`; "
            f"{len(missing)} of {len(names)} are missing. Complete the copy."
        )
    return np.array([row_of[name] for name in names], np.int64)
