"""Features in files for tests: numbers by which every example can be told."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from mtlrun.data._raycast import Array

DOMAINS = ("amazon", "webcam", "dslr", "caltech10")
NUMBER = 6  # examples of a class
WIDTH = 5


def features(domain: int, num_classes: int = 10, number: int = NUMBER) -> tuple[Array, Array]:
    """[N, 5], the first column 100 * domain + the example's number, and classes [N] from 0."""
    labels = np.repeat(np.arange(num_classes), number)
    values = np.random.default_rng(domain).normal(size=(len(labels), WIDTH)).astype(np.float32)
    values[:, 0] = 100 * domain + np.arange(len(labels))
    return values, labels


def write_mat(path: Path, values: Array, labels: Array, **others: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"fts": values, "labels": labels[:, None]} | others)


def write_mats(folder: Path, **change: Any) -> Path:
    """A file for every domain; `change` gives some of them other (values, labels)."""
    for k, name in enumerate(DOMAINS):
        values, labels = features(k)
        values, labels = change.get(name, (values, labels + 1))
        write_mat(folder / f"{name}.mat", values, labels)
    return folder


def write_npys(folder: Path, domains: dict[str, int], classes: tuple[str, ...]) -> Path:
    """DOMAIN/CLASS/00000.npy and so on, of the domains' features."""
    for name, k in domains.items():
        values, labels = features(k, len(classes))
        for row, (own, label) in enumerate(zip(values, labels, strict=True)):
            path = folder / name / classes[label] / f"{row % NUMBER:05d}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, own)
    return folder
