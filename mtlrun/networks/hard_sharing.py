"""One encoder for all tasks, one head for each."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mtlrun.core.batch import TaskName
from mtlrun.core.model import Backbone, Features, MultiTaskModel
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Task


class HardSharing(MultiTaskModel):
    """All tasks share the encoder and have a head of their own.

    Source: Caruana, Multitask Learning, Machine Learning 28, 1997, Section 2.

    Inputs that differ from task to task are concatenated along the batch for one pass of the
    encoder and split again.

    Args:
        backbone: The shared encoder; it makes the heads.
        tasks: In the order of the losses.
        seed: Of the heads: a task's head begins at the same weights in every group.
    """

    def __init__(self, backbone: Backbone, tasks: Sequence[Task], *, seed: int) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.backbone = backbone
        heads = {}
        for task in tasks:
            with seeded(seed, f"head/{task.name}"):
                heads[task.name] = backbone.make_head(task.output)
        self.heads = nn.ModuleDict(heads)

    def encode(self, inputs: Any, tasks: Sequence[TaskName]) -> Features:
        """The encoder's features; by task where the inputs are."""
        if not isinstance(inputs, Mapping):
            return self.backbone(inputs)
        sizes = [len(inputs[task]) for task in tasks]
        features = self.backbone(torch.cat([inputs[task] for task in tasks]))
        assert isinstance(features, Tensor)
        return dict(zip(tasks, torch.split(features, sizes), strict=True))

    def decode(self, features: Features, tasks: Sequence[TaskName]) -> dict[TaskName, Any]:
        """Each task's head on the features."""
        own = isinstance(features, Mapping) and set(features) <= set(self.heads)
        return {task: self.heads[task](features[task] if own else features) for task in tasks}

    def shared_parameters(self) -> list[nn.Parameter]:
        """The encoder's."""
        return list(self.backbone.parameters())

    def task_parameters(self, task: TaskName) -> list[nn.Parameter]:
        """The head's."""
        return list(self.heads[task].parameters())

    def last_shared_layer(self) -> nn.Module:
        """The encoder's own choice."""
        return self.backbone.last_shared_layer()
