"""What one step is given."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

TaskName = str


@dataclass(frozen=True)
class Batch:
    """Examples with a target for every task.

    Attributes:
        inputs: [B, ...] the same examples for every task, or one such tensor a task.
        targets: For each task [B, ...], in the form its loss takes.
    """

    inputs: Tensor | Mapping[TaskName, Tensor]
    targets: Mapping[TaskName, Tensor]

    def __len__(self) -> int:
        inputs = self.inputs
        return len(inputs if isinstance(inputs, Tensor) else next(iter(inputs.values())))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """The same batch on a device."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        inputs = self.inputs
        return Batch(
            move(inputs) if isinstance(inputs, Tensor) else {t: move(x) for t, x in inputs.items()},
            {task: move(target) for task, target in self.targets.items()},
        )

    def __getitem__(self, rows: slice) -> "Batch":
        inputs = self.inputs
        return Batch(
            inputs[rows] if isinstance(inputs, Tensor) else {t: x[rows] for t, x in inputs.items()},
            {task: target[rows] for task, target in self.targets.items()},
        )
