"""A small copy of PASCAL-Context's layout, from rendered rooms."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from mtlrun.core.seeding import seed_for
from mtlrun.data._listed_files import IGNORED
from mtlrun.data._listed_miniature import (
    COUNTS,
    borders,
    bytes_of_normals,
    write_list,
    write_picture,
)
from mtlrun.data._miniature import refuse_copy
from mtlrun.data._pascal_classes import PERSON
from mtlrun.data._raycast import Array
from mtlrun.data._scene_layout import CLASSES
from mtlrun.data._scene_render import render

SIZES = ((75, 100), (100, 75))  # a fifth of the usual ones, by turns
CHAIR = 9  # among PASCAL's 20 classes
# Of each of a room's classes, the place among PASCAL-Context's 459; pillars and bins are not NYUv2's.
PLACES = {
    "wall": 440, "floor": 158, "ceiling": 68, "window": 454, "door": 115, "picture": 287,
    "rug": 330, "cabinet": 46, "table": 397, "crate": 101, "ball": 10, "column": 289, "bin": 418,
    "lamp": 232,
}  # fmt: skip
BODIES = {"ball": "head", "column": "torso", "bin": "luarm"}
DULL = ("wall", "floor", "ceiling", "window", "door", "rug")


def write_pascal_context(folder: Path) -> None:
    """Writes 14 rooms; unlabelled pixels lie along borders, and there are pictures without people.

    Raises:
        ValueError: If the folder holds a copy already.
    """
    refuse_copy(folder / "JPEGImages", "pascal_context")
    for part, count in COUNTS.items():
        names = [f"2008_{k + 1 + 100 * (part == 'val'):06d}" for k in range(count)]
        index = {}
        for k, name in enumerate(names):
            picture = render(seed_for(0, f"pascal_context/{name}"), *SIZES[k % 2])
            seen = picture.segmentation.astype(np.int64)
            path = folder / "JPEGImages" / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.image.transpose(1, 2, 0)).save(path, quality=95)
            labels = np.where(borders(seen), IGNORED, seen)
            source = "VOC12" if k % 2 else "pascal-context"
            write_picture(folder / "semseg" / source / f"{name}.png", labels)
            write_picture(folder / "normals_distill" / f"{name}.png", bytes_of_normals(picture))
            salient = ~np.isin(seen, [CLASSES.index(own) for own in DULL])
            write_picture(folder / "sal_distill" / f"{name}.png", np.where(salient, 230, 25))
            places = np.array([PLACES[own] for own in CLASSES], np.uint16)
            _save(
                folder / "pascal-context" / "trainval" / f"{name}.mat", {"LabelMap": places[seen]}
            )
            index[name] = _write_parts(folder / "human_parts" / f"{name}.mat", name, seen)
        write_list(folder / "ImageSets" / "Context" / f"{part}.txt", names)
        write_list(folder / "ImageSets" / "Parts" / f"{part}.txt", [json.dumps(index)])


def _write_parts(path: Path, name: str, seen: Array) -> list[int]:
    """Writes a room's things as PASCAL-Part's objects; their classes."""
    masks = {part: (seen == CLASSES.index(own)).astype(np.uint8) for own, part in BODIES.items()}
    masks = {part: mask for part, mask in masks.items() if mask.any()}
    parts = _records(("part_name", "mask"), list(masks.items()))
    table = (seen == CLASSES.index("table")).astype(np.uint8)
    objects: list[Sequence[object]] = [("chair", CHAIR, table, np.zeros((0, 0)))]
    if masks:
        body = np.maximum.reduce(list(masks.values()))
        objects.append(("person", PERSON, body, parts))
    fields = ("class", "class_ind", "mask", "parts")
    _save(path, {"anno": {"imname": name, "objects": _records(fields, objects)}})
    return [int(str(own[1])) for own in objects]


def _records(fields: Sequence[str], rows: Sequence[Sequence[object]]) -> Array:
    """[1, N] structures."""
    records = np.empty((1, len(rows)), [(own, object) for own in fields])
    for k, row in enumerate(rows):
        records[0, k] = tuple(row)
    return records


def _save(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, content, do_compression=True)
