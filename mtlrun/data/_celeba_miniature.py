"""A small copy of CelebA's layout: rooms instead of faces, with attributes that can be seen."""

from pathlib import Path

import numpy as np
from PIL import Image

from mtlrun.core.seeding import seed_for
from mtlrun.data._celeba_lists import ALL, ATTRIBUTES_FILE, NINE, PICTURES, SPLITS_FILE
from mtlrun.data._image_maps import edges_of
from mtlrun.data._miniature import refuse_copy
from mtlrun.data._raycast import Array
from mtlrun.data._scene_layout import CLASSES
from mtlrun.data._scene_render import Picture, render

HEIGHT, WIDTH = 218, 178  # of the aligned pictures
COUNTS = (24, 8, 8)  # of training, validation and test


def write(folder: Path) -> None:
    """Writes pictures and lists; an attribute is whether a measure is above its median.

    The nine attributes of the papers come first: colours and depth of the picture and its halves.

    Raises:
        ValueError: If the folder holds a copy already.
    """
    for own in (ATTRIBUTES_FILE, PICTURES):
        refuse_copy(folder / own, "CelebA")
    (folder / PICTURES).mkdir(parents=True)
    total = sum(COUNTS)
    names = [f"{number:06d}.jpg" for number in range(1, total + 1)]
    measured = []
    for name in names:
        picture = render(seed_for(0, f"celeba/{name}"), HEIGHT, WIDTH)
        measured.append(_measures(picture))
        pixels = np.ascontiguousarray(picture.image.transpose(1, 2, 0))
        Image.fromarray(pixels).save(folder / PICTURES / name, quality=92)
    order = [*NINE, *(name for name in ALL if name not in NINE)]
    values = np.stack(measured)[:, [order.index(name) for name in ALL]]
    signs = np.where(values > np.median(values, axis=0), 1, -1)
    rows = [
        f"{name} " + " ".join(f"{v:2d}" for v in row)
        for name, row in zip(names, signs, strict=True)
    ]
    codes = np.repeat((0, 1, 2), COUNTS)
    splits = [f"{name} {code}" for name, code in zip(names, codes, strict=True)]
    _write(folder / ATTRIBUTES_FILE, [str(total), " ".join(ALL), *rows])
    _write(folder / SPLITS_FILE, splits)


def _measures(picture: Picture) -> Array:
    """[40] numbers of a picture: colours and depth of it and its halves, classes, light and geometry."""
    image = picture.image.astype(np.float64) / 255
    maps = np.concatenate([image, picture.depth[None].astype(np.float64)])
    up, left = HEIGHT // 2, WIDTH // 2
    parts = (maps, maps[:, :up], maps[:, up:], maps[:, :, :left], maps[:, :, left:])
    means = [part.mean(axis=(1, 2)) for part in parts]
    shares = np.bincount(picture.segmentation.ravel(), minlength=len(CLASSES)) / picture.depth.size
    rest = (
        *picture.normals.mean(axis=(1, 2)),
        edges_of(picture.image).mean(),
        picture.depth.std(),
        image.std(),
    )
    measures = np.concatenate([*means, shares, rest])
    assert measures.shape == (len(ALL),)
    return measures


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
