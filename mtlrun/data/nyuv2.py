"""NYUv2: indoor pictures with classes, depth and normals."""

from collections.abc import Sequence
from pathlib import Path

from mtlrun.data._dense_files import DenseFiles, write_miniature
from mtlrun.data._dense_source import folder_of
from mtlrun.data._npy_source import NpySource
from mtlrun.tasks.depth import depth
from mtlrun.tasks.normals import normals
from mtlrun.tasks.segmentation import segmentation

NUM_CLASSES = 13


class NYUv2(NpySource):
    """Indoor pictures with 13 classes, depth and surface normals; 795 to train on and 654 to test.

    Source: the files that Liu et al. prepared for End-to-End Multi-Task Learning with Attention, CVPR 2019,
    arXiv:1803.10704.

    The layout is root/{train,val}/{image,label,depth,normal}/0.npy, 1.npy, ...: pictures [H, W, 3] in 0..1, labels
    [H, W] of -1 (counts nowhere) or 13 classes, depth [H, W, 1] with 0 for invalid, and normals
    [H, W, 3] with (0, 0, 0) for invalid.
    H and W are those of the first picture, 288 and 384 in the papers. The folder `val` is the papers'
    test set and is the split `test`. The split `val` is a share of the folder `train`, drawn by the seed;
    with a share of 0, as in the papers, everything is trained on, and `val` is the last tenth of the
    training pictures: choosing by it then says nothing about new pictures.

    Args:
        root: The folder; None for `data/nyuv2`.
        tasks: The names of those to keep, in the order of tables; None for all.
        val_share: Of the training pictures that are held out, below 1.
        augment: Whether training pictures are enlarged by 1, 1.2 or 1.5 (depth divided by it) and
            mirrored, half of them, in every epoch.
        pixel_error: Whether segmentation tells the pixel error, as the tables of Deep Safe Multi-Task
            Learning do, instead of the accuracy.
        seed: Of the pictures that are held out.

    Raises:
        ValueError: If a task is unknown or the share is not below 1.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        tasks: Sequence[str] | None = None,
        val_share: float = 0.0,
        augment: bool = False,
        pixel_error: bool = True,
        seed: int = 0,
    ) -> None:
        own = (
            segmentation(num_classes=NUM_CLASSES, pixel_error=pixel_error),
            depth(rmse=False),
            normals(),
        )
        super().__init__(
            DenseFiles("nyuv2", folder_of(root, "nyuv2"), NUM_CLASSES),
            own,
            tasks=tasks,
            size=(288, 384),
            val_share=val_share,
            augment=augment,
            seed=seed,
        )

    @classmethod
    def write_miniature(cls, folder: Path) -> None:
        """8 and 4 rendered rooms of 32x48 pixels.

        Raises:
            ValueError: If the folder holds a copy already.
        """
        folders = ("image", "label", "depth", "normal")
        write_miniature(folder, "nyuv2", folders, size=(32, 48), num_classes=NUM_CLASSES)
