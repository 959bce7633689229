"""Looks at a training point that leave no trace."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mtlrun.core.method import TrainingPoint
from mtlrun.core.seeding import RandomState


@contextmanager
def without_trace(point: TrainingPoint) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Puts back the model's buffers and modes and torch's generators, bit for bit, at the end.

    Yields:
        The model's buffers, each with a copy of its value.
    """
    modules = list(point.model.modules())
    modes = [(module.training, getattr(module, "track_running_stats", None)) for module in modules]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    random = RandomState.capture(next(point.model.parameters()).device)
    try:
        yield [(buffer, value) for _, _, buffer, value in buffers]
    finally:
        random.restore()
        for module, (training, tracks) in zip(modules, modes, strict=True):
            module.training = training
            if tracks is not None:
                module.track_running_stats = tracks
        with torch.no_grad():
            for module, name, buffer, value in buffers:
                module._buffers[name] = buffer
                buffer.copy_(value)
