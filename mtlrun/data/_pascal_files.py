"""Where PASCAL-Context's files are, and what they hold."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy import ndimage
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from mtlrun.core.data import DataError
from mtlrun.data._listed_files import (
    IGNORED,
    ListedFiles,
    Part,
    directions_of,
    read_bytes,
    read_labels,
)
from mtlrun.data._pascal_classes import NORMAL_CLASSES, PART_LABELS, PERSON
from mtlrun.data._raycast import Array
from mtlrun.tasks._boundary_matching import thin

NUM_CLASSES = 21
LABEL_FOLDERS = ("VOC12", "pascal-context")  # the first that has the picture
CLASS, MASK, PARTS = 1, 2, 3  # places of an object's fields
PART_NAME, PART_MASK = 0, 1
# What scipy raises for files that are missing, cut off, or of another form.
UNREADABLE = (OSError, ValueError, TypeError, KeyError, EOFError, IndexError, NotImplementedError)
DAMAGED = (*UNREADABLE, MatReadError, zlib.error)


class PascalFiles(ListedFiles):
    """The folders of a copy, and what their files hold."""

    name = "pascal_context"
    layout = (
        "the lists ImageSets/Context/train.txt and val.txt, and for each NAME in them "
        "JPEGImages/NAME.jpg, semseg/VOC12/NAME.png or semseg/pascal-context/NAME.png, "
        "human_parts/NAME.mat, pascal-context/trainval/NAME.mat, normals_distill/NAME.png and "
        "sal_distill/NAME.png"
    )
    where_from = (
        "Get the files that the page of InvPT's program names (github.com/prismformore/"
        "Multi-Task-Transformer). Nothing is downloaded."
    )
    published: ClassVar[Mapping[Part, int]] = {"train": 4998, "val": 5105}

    def list_path(self, part: Part) -> Path:
        """ImageSets/Context/PART.txt."""
        return self.root / "ImageSets" / "Context" / f"{part}.txt"

    def paths(self, what: str, picture: str) -> tuple[Path, ...]:
        """The files of `image` or of a task; normals need the objects' classes too."""
        if what == "image":
            return (self.root / "JPEGImages" / f"{picture}.jpg",)
        if what == "segmentation":
            found = [self.root / "semseg" / own / f"{picture}.png" for own in LABEL_FOLDERS]
            return (next((path for path in found if self.holds(path)), found[-1]),)
        if what == "human_parts":
            return (self.root / "human_parts" / f"{picture}.mat",)
        if what == "saliency":
            return (self.root / "sal_distill" / f"{picture}.png",)
        objects = self.root / "pascal-context" / "trainval" / f"{picture}.mat"
        if what == "edges":
            return (objects,)
        return (self.root / "normals_distill" / f"{picture}.png", objects)

    def target(self, task: str, picture: str) -> Array:
        """Labels [H, W] or a map [C, H, W].

        Raises:
            DataError: If a file is missing, damaged or holds what it should not.
        """
        path, *rest = self.paths(task, picture)
        if task == "segmentation":
            labels = read_labels(path, largest=NUM_CLASSES - 1, unlabelled=IGNORED)
            return labels.astype(np.uint8)
        if task == "human_parts":
            return read_parts(path)
        if task == "saliency":
            shares = read_bytes(path, channels=1) / np.float32(255)
            return (shares > 0.5).astype(np.float32)
        if task == "edges":
            return edges_between(read_objects(path))[None].astype(np.float32)
        directions, objects = directions_of(read_bytes(path, channels=3)), read_objects(rest[0])
        if objects.shape != directions.shape[1:]:
            raise DataError(
                f"`{rest[0]}` should be of the size of `{path}`, {directions.shape[1]}x"
                f"{directions.shape[2]}. Found {objects.shape[0]}x{objects.shape[1]}. Get the files anew."
            )
        return np.where(np.isin(objects, NORMAL_CLASSES), directions, np.float32(0))


def read_objects(path: Path) -> Array:
    """The class of every pixel, [H, W] of places in PASCAL-Context's 459 classes; 0 for none.

    Raises:
        DataError: If the file is missing, damaged or holds no such map.
    """
    objects: Array = np.asarray(_load(path).get("LabelMap"))
    if objects.ndim != 2 or objects.dtype.kind not in "uif" or not objects.size:
        raise DataError(
            f"`{path}` should hold `LabelMap`, H x W numbers. Found "
            f"{' x '.join(map(str, objects.shape)) or 'none'} of type {objects.dtype}. Get the file anew."
        )
    return objects.astype(np.int32)


def edges_between(objects: Array) -> Array:
    """Where the Laplacian of the classes is not 0, as lines one pixel wide, [H, W] bool."""
    edges: Array = thin(ndimage.laplace(objects, mode="mirror") != 0)
    return edges


def read_parts(path: Path) -> Array:
    """The part of a body that every pixel shows, [H, W] uint8: 1 to 6, 0 for none.

    Raises:
        DataError: If the file is missing, damaged, of another form or names an unknown part.
    """
    try:
        objects = _load(path)["anno"][0, 0][1].reshape(-1)
        labels = np.zeros(np.asarray(objects[0][MASK]).shape, np.uint8)
        for own in objects:
            if int(np.asarray(own[CLASS]).item()) != PERSON:
                continue
            for part in np.asarray(own[PARTS]).reshape(-1):
                name = str(np.asarray(part[PART_NAME]).item())
                if name not in PART_LABELS:
                    raise DataError(
                        f"`{path}` should hold parts of bodies named as in PASCAL-Part, such as torso. "
                        f"Found `{name}`. Get the file anew."
                    )
                labels[np.asarray(part[PART_MASK]).astype(bool)] = PART_LABELS[name]
    except UNREADABLE as error:
        raise DataError(
            f"`{path}` should hold PASCAL-Part's `anno`: objects with class, mask and parts, all of one "
            f"size. Found: {error}. Get the file anew."
        ) from error
    return labels


def _load(path: Path) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = loadmat(path)
    except DAMAGED as error:
        raise DataError(
            f"`{path}` should be a whole MAT file of version 7 or below. Found: {error}. Get the file anew."
        ) from error
    return loaded
