"""Small copies of the layouts of listed pictures, from rendered rooms."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mtlrun.core.seeding import seed_for
from mtlrun.data._miniature import refuse_copy
from mtlrun.data._raycast import Array
from mtlrun.data._scene_layout import CLASSES
from mtlrun.data._scene_render import Picture, render

COUNTS = {"train": 8, "val": 6}
SIZE = (85, 112)  # a fifth of 425x560


def write_nyudv2(folder: Path) -> None:
    """Writes 14 rooms in the layout of NYUDv2: windows have no depth, lamps no label.

    Raises:
        ValueError: If the folder holds a copy already.
    """
    refuse_copy(folder / "images", "nyudv2")
    for part, count in COUNTS.items():
        names = [str(k + 1 + 100 * (part == "val")) for k in range(count)]
        for name in names:
            picture = render(seed_for(0, f"nyudv2/{name}"), *SIZE)
            seen = picture.segmentation.astype(np.int64)
            labels = np.where(seen == CLASSES.index("lamp"), 0, seen + 1)
            write_picture(folder / "images" / f"{name}.png", picture.image.transpose(1, 2, 0))
            write_picture(folder / "segmentation" / f"{name}.png", labels)
            write_picture(folder / "normals" / f"{name}.png", bytes_of_normals(picture))
            write_picture(folder / "edge" / f"{name}.png", borders(seen) * 255)
            path = folder / "depth" / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.where(seen == CLASSES.index("window"), 0, picture.depth))
        write_list(folder / "gt_sets" / f"{part}.txt", names)


def write_picture(path: Path, values: Array) -> None:
    """Writes [H, W] or [H, W, 3] numbers of 0..255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(values).astype(np.uint8)).save(path)


def write_list(path: Path, names: Sequence[str]) -> None:
    """Writes a name a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(names) + "\n", encoding="utf-8")


def bytes_of_normals(picture: Picture) -> Array:
    """[H, W, 3] of 0..255, for components of -1..1."""
    numbers: Array = np.rint((picture.normals.transpose(1, 2, 0) + 1) * 127.5)
    return numbers


def borders(labels: Array) -> Array:
    """[H, W] bool, where the label differs from the one above or to the left."""
    down = np.diff(labels, axis=0, prepend=labels[:1]) != 0
    across = np.diff(labels, axis=1, prepend=labels[:, :1]) != 0
    found: Array = down | across
    return found
