"""Small copies of datasets of domains: patterns instead of pictures, and features of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from mtlrun.core.batch import TaskName
from mtlrun.core.seeding import seed_for
from mtlrun.data._domain_layout import Layout
from mtlrun.data._mat_features import FEATURES, LABELS
from mtlrun.data._miniature import refuse_copy
from mtlrun.data._raycast import Array

HEIGHT, WIDTH = 40, 48
PER_CLASS = 8
GRID = 4  # features are the mean colours of 4 x 4 parts


def write_pictures(folder: Path, title: str, classes: Sequence[str], *, flat: bool = False) -> None:
    """Writes 8 pictures of each class of a domain, CLASS/NAME.jpg.

    A class is the direction and width of stripes in colours of its own; a domain moves the colours.

    Args:
        folder: Of the domain.
        title: Of the dataset and domain, of which the patterns depend.
        classes: C names.
        flat: Whether pictures lie in the folder itself, as CLASS_NUMBER.jpg.
    """
    for c, name in enumerate(classes):
        for number in range(PER_CLASS):
            path = folder / f"{name}_{number}.jpg" if flat else folder / name / f"{number:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_pattern(title, c, number)).save(path, quality=92)


def write_mat(path: Path, title: str, num_classes: int) -> None:
    """Writes the features and classes, from 1, of a domain's pictures."""
    features, labels = _features(title, num_classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {FEATURES: features, LABELS: labels[:, None] + 1})


def write_npys(folder: Path, title: str, classes: Sequence[str]) -> None:
    """Writes the features of a domain's pictures, CLASS/NAME.npy."""
    features, labels = _features(title, len(classes))
    for k, (values, label) in enumerate(zip(features, labels, strict=True)):
        path = folder / classes[label] / f"{k % PER_CLASS:05d}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values)


def write_lists(
    paths: Sequence[Path], domain: str, classes: Sequence[str], shares: Sequence[float]
) -> None:
    """Writes lists of shares of a domain's pictures, one list after another.

    Args:
        paths: Of the lists.
        domain: The name of its folder.
        classes: C names.
        shares: Of each class; at least one picture.
    """
    begin = 0
    for path, share in zip(paths, shares, strict=True):
        end = min(PER_CLASS, begin + max(1, round(share * PER_CLASS)))
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{domain}/{name}/{number:05d}.jpg {c}"
            for c, name in enumerate(classes)
            for number in range(begin, end)
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        begin = end


def begin(folder: Path, layout: Layout, domains: Sequence[str]) -> dict[TaskName, Path]:
    """The folders of domains, by task.

    Raises:
        ValueError: If the folder holds a copy already.
    """
    found = {task: folder / name for task, name in zip(layout.domains, domains, strict=True)}
    for path in (*found.values(), folder / "features"):
        refuse_copy(path, layout.name)
    return found


def _features(title: str, num_classes: int) -> tuple[Array, Array]:
    """[C * 8, 48] float32 and [C * 8]."""
    labels = np.repeat(np.arange(num_classes), PER_CLASS)
    rows = []
    for k, c in enumerate(labels.tolist()):
        parts = _pattern(title, c, k % PER_CLASS).astype(np.float32) / 255
        parts = parts.reshape(GRID, HEIGHT // GRID, GRID, WIDTH // GRID, 3)
        rows.append(parts.mean(axis=(1, 3)).ravel())
    return np.stack(rows), labels


def _pattern(title: str, label: int, number: int) -> Array:
    """[H, W, 3] uint8."""
    of_class = np.random.default_rng(seed_for(label, "miniature/class"))
    of_domain = np.random.default_rng(seed_for(0, f"miniature/{title}"))
    own = np.random.default_rng(seed_for(number, f"miniature/{title}/{label}"))
    colors = of_class.uniform(40, 215, (2, 3)) + of_domain.normal(0, 20, 3)
    angle, pitch = of_class.uniform(0, np.pi), of_class.uniform(6, 16)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    along = columns * np.cos(angle) + rows * np.sin(angle) + own.uniform(0, 4)
    stripes = ((along / pitch) % 1 < 0.5)[..., None]
    pixels = np.where(stripes, *colors) + own.normal(0, 12, (HEIGHT, WIDTH, 3))
    return pixels.clip(0, 255).astype(np.uint8)
