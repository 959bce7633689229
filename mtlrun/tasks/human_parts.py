"""Human parts: which part of a body every pixel shows."""

from dataclasses import replace

from mtlrun.core.task import Task
from mtlrun.tasks.segmentation import segmentation

NUM_CLASSES = 7


def human_parts(name: str = "human_parts", *, ignore_index: int = 255) -> Task:
    """The task of classifying the background and six parts of bodies: cross entropy, and `miou`.

    Predictions are scores [B, 7, H, W], targets int64 labels [B, H, W]; an image that shows no body
    is ignored as a whole.

    Args:
        name: On the command line.
        ignore_index: The label of pixels that count nowhere.
    """
    task = segmentation(name, num_classes=NUM_CLASSES, ignore_index=ignore_index)
    return replace(task, metrics={"miou": task.metrics["miou"]}, directions={"miou": True})
