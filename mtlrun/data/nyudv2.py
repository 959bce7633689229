"""NYUDv2: indoor pictures with forty classes, depth, normals and edges."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from mtlrun.core.data import DataError
from mtlrun.data._dense_source import folder_of
from mtlrun.data._listed_files import (
    IGNORED,
    ListedFiles,
    Part,
    directions_of,
    read_bytes,
    read_labels,
)
from mtlrun.data._listed_miniature import write_nyudv2
from mtlrun.data._listed_source import ListedSource
from mtlrun.data._raycast import Array
from mtlrun.tasks.boundaries import boundaries
from mtlrun.tasks.depth import depth
from mtlrun.tasks.normals import normals
from mtlrun.tasks.segmentation import segmentation

NUM_CLASSES = 40
SIZE = (448, 576)
FOLDERS = {
    "image": "images", "segmentation": "segmentation", "depth": "depth", "normals": "normals",
    "edges": "edge",
}  # fmt: skip
UNREADABLE = (OSError, ValueError, EOFError)


class NYUDv2(ListedSource):
    """Indoor pictures with 40 classes, depth, normals and edges; 795 to train on and 654 to test.

    Source: Silberman et al., Indoor Segmentation and Support Inference from RGBD Images, ECCV 2012, in the
    files and with the augmentation of InvPT (Ye and Xu, ECCV 2022, arXiv:2203.07997); losses of
    Selective Task Group Updates.
    Differs: the edges' tolerance, which that paper does not tell, is the one usual for these data;
    normals whose bytes are grey count nowhere; pictures are averaged where they become smaller.

    The layout is root/images/NAME.png, segmentation/NAME.png (0 unlabelled, 1 to 40),
    depth/NAME.npy ([H, W], metres, 0 invalid), normals/NAME.png (bytes of -1..1), edge/NAME.png
    (bytes of 0..1), and the lists gt_sets/train.txt and gt_sets/val.txt of NAMEs. Maps have their
    picture's size, 425x560 in one version and 480x640 in another. The list `val` is the papers'
    test set and is the split `test`. The split `val` is a share of the list `train`, drawn by the
    seed; with a share of 0, as in the paper, everything is trained on, and `val` is the last tenth
    of the training pictures: choosing by it then says nothing about new pictures.

    Inputs are RGB [3, H, W], normalised by ImageNet's means and deviations; what is padded is 0. Targets:
    `segmentation` int64 [H, W], 255 where unlabelled; float32 `depth` [1, H, W], `normals`
    [3, H, W], 0 where invalid; `edges` [1, H, W] in 0..1, not a number where padded.

    Args:
        root: The folder; None for `data/nyudv2`.
        tasks: The names of those to keep, in the order of tables; None for all.
        size: H and W; None for the multiples of 32 that hold the first 64 pictures of each
            list, 448x576 or 480x640.
        val_share: Of the training pictures that are held out, below 1.
        augment: Whether training pictures are scaled by 0.5 to 2 (depth divided by it), cropped so
            that no class has 0.75 of the labels, mirrored (normals negated), and their colours
            distorted.
        normals_loss: "l1" of unit vectors, or "cosine".
        edge_tolerance: Largest distance of matched edges, as a share of the image's diagonal.
        edge_thresholds: How many probabilities the edges' metric tries; time grows with it.
        seed: Of the pictures that are held out.

    Raises:
        ValueError: If a task is unknown or a number is out of range.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        tasks: Sequence[str] | None = None,
        size: Sequence[int] | None = None,
        val_share: float = 0.0,
        augment: bool = True,
        normals_loss: Literal["l1", "cosine"] = "l1",
        edge_tolerance: float = 0.011,
        edge_thresholds: int = 99,
        seed: int = 0,
    ) -> None:
        files = NYUDFiles(folder_of(root, "nyudv2"))
        metres = depth()
        first = ("rmse", *(name for name in metres.metrics if name != "rmse"))  # the paper's leads
        own = (
            segmentation(num_classes=NUM_CLASSES),
            replace(metres, metrics={name: metres.metrics[name] for name in first}),
            normals(loss=normals_loss),
            boundaries("edges", tolerance=edge_tolerance, num_thresholds=edge_thresholds),
        )
        super().__init__(
            files,
            {task.name: task for task in own},
            tasks=tasks,
            size=files.size(SIZE) if size is None else size,
            val_share=val_share,
            augment=augment,
            seed=seed,
        )

    @classmethod
    def write_miniature(cls, folder: Path) -> None:
        """8 and 6 rendered rooms of 85x112 pixels.

        Raises:
            ValueError: If the folder holds a copy already.
        """
        write_nyudv2(folder)


class NYUDFiles(ListedFiles):
    """The folders of a copy, and what their files hold."""

    name = "nyudv2"
    layout = (
        "the lists gt_sets/train.txt and gt_sets/val.txt, and for each NAME in them images/NAME.png, "
        "segmentation/NAME.png, normals/NAME.png, edge/NAME.png and depth/NAME.npy"
    )
    where_from = (
        "Get the files that the page of InvPT's program names (github.com/prismformore/"
        "Multi-Task-Transformer). Nothing is downloaded."
    )
    published: ClassVar[Mapping[Part, int]] = {"train": 795, "val": 654}

    def list_path(self, part: Part) -> Path:
        """gt_sets/PART.txt."""
        return self.root / "gt_sets" / f"{part}.txt"

    def paths(self, what: str, picture: str) -> tuple[Path, ...]:
        """One file of `image` or of a task."""
        suffix = "npy" if what == "depth" else "png"
        return (self.root / FOLDERS[what] / f"{picture}.{suffix}",)

    def target(self, task: str, picture: str) -> Array:
        """Labels [H, W] or a map [C, H, W].

        Raises:
            DataError: If the file is missing, damaged or holds what it should not.
        """
        (path,) = self.paths(task, picture)
        if task == "depth":
            return _depth(path)
        if task == "segmentation":
            labels = read_labels(path, largest=NUM_CLASSES, unlabelled=0)
            return np.where(labels == 0, IGNORED, labels - 1).astype(np.uint8)
        if task == "normals":
            return directions_of(read_bytes(path, channels=3))
        return (read_bytes(path, channels=1) / 255).astype(np.float32)


def _depth(path: Path) -> Array:
    """[1, H, W] float32, metres."""
    try:
        values: Array = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise DataError(
            f"`{path}` should be a whole npy file of numbers. Found: {error}. Get the file anew."
        ) from error
    if values.ndim != 2 or not values.size or values.dtype.kind not in "fiu":
        raise DataError(
            f"`{path}` should hold H x W numbers. Found {' x '.join(map(str, values.shape))} of type "
            f"{values.dtype}. Get the file anew."
        )
    if not (np.isfinite(values).all() and values.min() >= 0):
        raise DataError(
            f"`{path}` should hold metres of 0 or more. Found {values.min()}..{values.max()}. Get the "
            f"file anew."
        )
    return values[None].astype(np.float32)
