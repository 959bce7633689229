"""Human parts: which part of a body every pixel shows."""

from mtlrun.core.task import Task
from mtlrun.tasks.segmentation import miou_alone, segmentation

NUM_CLASSES = 7


def human_parts(name: str = "human_parts", *, ignore_index: int = 255) -> Task:
    """The task of classifying the background and six parts of bodies: cross entropy, and `miou`.

    Predictions are scores [B, 7, H, W], targets int64 labels [B, H, W]; an image that shows no body
    is ignored as a whole.

    Args:
        name: On the command line.
        ignore_index: The label of pixels that count nowhere.
    """
    return miou_alone(segmentation(name, num_classes=NUM_CLASSES, ignore_index=ignore_index))
