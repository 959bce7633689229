"""Features of domains in MAT files: one file a domain, with `fts` [N, D] and `labels`."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from mtlrun.core.batch import TaskName
from mtlrun.core.data import DataError
from mtlrun.data._domain_layout import Layout, Opened, same_width
from mtlrun.data._raycast import Array

FEATURES, LABELS = "fts", "labels"
DAMAGED = (
    MatReadError, OSError, ValueError, TypeError, KeyError, IndexError, EOFError, zlib.error,
    NotImplementedError,
)  # fmt: skip


class MatDomain:
    """The examples of one file.

    Args:
        path: Of the file.
        features: [N, D].
        labels: [N], 0 to C-1.
    """

    names = None

    def __init__(self, path: Path, features: Array, labels: Array) -> None:
        self.where, self.features, self.labels = path, features, labels

    def read(self, rows: Array, *, augmented: bool) -> Array:
        """Features [n, D] float32; the same in training and evaluation."""
        found: Array = self.features[rows].astype(np.float32)
        return found


def open_mats(files: Mapping[TaskName, Path], layout: Layout) -> Opened:
    """The domains of MAT files.

    Labels count the classes from 1, or from 0 where some file has a 0.

    Args:
        files: By task.
        layout: Of the dataset.

    Raises:
        DataError: If a file is damaged, lacks a key, or holds what it should not.
    """
    read = {task: _read(path) for task, path in files.items()}
    widths = {task: features.shape[1] for task, (features, _) in read.items()}
    folder = next(iter(files.values())).parent
    width = same_width(widths, folder)
    first = min(int(labels.min()) for _, labels in read.values())
    first = 0 if first == 0 else 1
    last = first + layout.num_classes - 1
    domains = {}
    for task, (features, labels) in read.items():
        if labels.min() < first or labels.max() > last:
            raise DataError(
                f"`{LABELS}` of `{files[task]}` should be classes {first}..{last} of `{layout.name}`. "
                f"Found {labels.min()}..{labels.max()}. Get the file anew."
            )
        domains[task] = MatDomain(files[task], features, labels - first)
    return Opened(domains, layout.names(layout.num_classes), width, "MAT files", folder)


def _read(path: Path) -> tuple[Array, Array]:
    """Features [N, D] and labels [N] as they are in a file."""
    try:
        content: dict[str, Any] = loadmat(path)
    except DAMAGED as error:
        raise DataError(
            f"`{path}` should be a whole MAT file of version 7 or below. Found: {error}. Get the "
            f"file anew."
        ) from error
    keys = [key for key in content if not key.startswith("__")]
    if not {FEATURES, LABELS} <= set(keys):
        raise DataError(
            f"`{path}` should hold features under `{FEATURES}` and classes under `{LABELS}`. Found "
            f"the keys {', '.join(f'`{key}`' for key in keys) or 'of nothing'}. Rename them."
        )
    features, labels = np.asarray(content[FEATURES]), np.asarray(content[LABELS])
    if features.ndim != 2 or features.dtype.kind not in "fiu" or labels.size != len(features):
        raise DataError(
            f"`{path}` should hold numbers `{FEATURES}` [N, D] and N classes `{LABELS}`. Found "
            f"{features.dtype} {list(features.shape)} and {labels.size} classes. Get the file anew."
        )
    labels = labels.reshape(-1)
    if not labels.size or labels.dtype.kind not in "fiu" or (labels % 1 != 0).any():
        raise DataError(
            f"`{LABELS}` of `{path}` should be whole numbers, one at least. Found "
            f"{labels.dtype} {list(labels.shape)}. Get the file anew."
        )
    return features, labels.astype(np.int64)
