"""The pass at the training point that every virtual update begins with."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from mtlrun.core.gradients import SharedPass, shared_pass
from mtlrun.core.method import TrainingPoint

BatchNorm = Literal["batch_frozen", "batch", "running"]


def first_pass(
    point: TrainingPoint,
    tasks: Sequence[int],
    buffers: Sequence[tuple[Tensor, Tensor]],
    batch_norm: BatchNorm,
    *,
    heads: bool,
) -> tuple[SharedPass, list[tuple[Tensor, Tensor]]]:
    """The pass at the training point, with batch norm left as evaluations want it.

    "batch_frozen": statistics of the batch; running ones stay, and what else a forward pass writes
    into buffers is taken back before each evaluation. "batch": every evaluation is a training
    forward, which moves the running statistics, so that a layer that reads them while training sees
    those of the evaluation before; plain batch norm does not, so its losses are the same. "running":
    evaluations use the running statistics as this pass left them.

    Args:
        point: Where training stands.
        tasks: Indices of those that take part.
        buffers: The model's, each with a copy of its value.
        batch_norm: As above.
        heads: Whether the heads' gradients are wanted.

    Returns:
        The pass, and the buffers, with values, that every evaluation begins with.
    """
    norms = [
        module
        for module in point.model.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase)
        and module.training
        and module.track_running_stats
    ]
    if batch_norm == "batch_frozen":
        for norm in norms:
            if isinstance(norm, nn.modules.batchnorm._BatchNorm):
                norm.track_running_stats = False
    forward = shared_pass(
        point.model,
        [point.tasks[t] for t in tasks],
        point.batch,
        encoded=[task.name for task in point.tasks],
        autocast=point.settings.autocast(next(point.model.parameters()).device),
        heads=heads,
    )
    if batch_norm == "running":
        for norm in norms:
            norm.eval()
    if batch_norm != "batch_frozen":
        return forward, []
    return forward, [entry for entry in buffers if not torch.equal(*entry)]
