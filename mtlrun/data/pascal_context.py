"""PASCAL-Context: pictures with classes, parts of bodies, saliency, edges and normals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mtlrun.data._dense_source import folder_of
from mtlrun.data._listed_source import ListedSource
from mtlrun.data._pascal_files import NUM_CLASSES, PascalFiles
from mtlrun.data._pascal_miniature import write_pascal_context
from mtlrun.tasks.boundaries import boundaries
from mtlrun.tasks.human_parts import human_parts
from mtlrun.tasks.normals import normals
from mtlrun.tasks.saliency import saliency
from mtlrun.tasks.segmentation import miou_alone, segmentation

SIZE = (512, 512)
FOUR = ("segmentation", "human_parts", "saliency", "normals")


class PASCALContext(ListedSource):
    """Pictures of all kinds with up to five tasks; 4998 to train on and 5105 to test.

    Source: Mottaghi et al., CVPR 2014, and Chen et al. (PASCAL-Part), CVPR 2014, with the normals and
    saliency of Maninis et al., Attentive Single-Tasking of Multiple Tasks, CVPR 2019,
    arXiv:1904.08918, in the files and with the augmentation of InvPT (Ye and Xu, ECCV 2022,
    arXiv:2203.07997). Four tasks as in Deep Safe Multi-Task Learning; edges are the fifth of
    Selective Task Group Updates.
    Differs: the edges' tolerance, which the papers do not tell, is the one usual for these data;
    normals whose bytes are grey count nowhere; pictures are averaged where they become smaller; which
    pictures show bodies is read from `human_parts`, and the index `ImageSets/Parts` not at all.

    The layout is root/JPEGImages/NAME.jpg; semseg/VOC12/NAME.png, else
    semseg/pascal-context/NAME.png (21 classes, 255 unlabelled); human_parts/NAME.mat (PASCAL-Part);
    pascal-context/trainval/NAME.mat (`LabelMap`, 459 classes, between which edges are);
    normals_distill/NAME.png (bytes of -1..1, valid on classes of NYUv2 only), sal_distill/NAME.png
    (bytes, above half is salient), and the lists ImageSets/Context/train.txt and val.txt of NAMEs.
    Pictures differ in size, 500 pixels at most; maps have their picture's. The list `val` is the
    papers' test set and is the split `test`. The split `val` is a share of the list `train`, drawn by
    the seed; with a share of 0, as in the papers, everything is trained on, and `val` is the last
    tenth of the training pictures: choosing by it then says nothing about new pictures.

    Inputs are RGB [3, H, W], normalised by ImageNet's means and deviations; what is padded is 0. Targets:
    `segmentation` and `human_parts` int64 [H, W], 255 where unlabelled or padded, the latter
    everywhere where no body is in sight; float32 `saliency` and `edges` [1, H, W] of 0 and 1, not a
    number where padded; `normals` [3, H, W], 0 where invalid.

    Args:
        root: The folder; None for `data/pascal_context`.
        tasks: The names of those to keep, in the order of tables; None for all five.
        size: H and W; None for the multiples of 32 that hold the first 64 pictures of each list,
            512x512 in a complete copy.
        val_share: Of the training pictures that are held out, below 1.
        augment: Whether training pictures are scaled by 0.5 to 2, cropped so that no class has 0.75
            of the labels, mirrored (normals negated), and their colours distorted.
        normals_loss: "cosine", or "l1" of unit vectors.
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
        tasks: Sequence[str] | None = FOUR,
        size: Sequence[int] | None = None,
        val_share: float = 0.0,
        augment: bool = False,
        normals_loss: Literal["cosine", "l1"] = "cosine",
        edge_tolerance: float = 0.0075,
        edge_thresholds: int = 99,
        seed: int = 0,
    ) -> None:
        own = (
            miou_alone(segmentation(num_classes=NUM_CLASSES)),
            human_parts(),
            saliency(),
            boundaries("edges", tolerance=edge_tolerance, num_thresholds=edge_thresholds),
            normals(loss=normals_loss),
        )
        files = PascalFiles(folder_of(root, "pascal_context"))
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
        """8 and 6 rendered rooms of 75x100 and 100x75 pixels, whose round things are people.

        Raises:
            ValueError: If the folder holds a copy already.
        """
        write_pascal_context(folder)
