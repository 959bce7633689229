"""What one step is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

TaskName = str


@dataclass(frozen=True)
class Batch:
    """Examples with a target for every task.

    Attributes:
        inputs: [B, ...] the same examples for every task, or one such tensor a task, of B examples
            or fewer.
        targets: For each task [B, ...], in the form its loss takes.
    """

    inputs: Tensor | Mapping[TaskName, Tensor]
    targets: Mapping[TaskName, Tensor]

    def __len__(self) -> int:
        """B; the largest where tasks have inputs of their own."""
        inputs = self.inputs
        return len(inputs) if isinstance(inputs, Tensor) else max(map(len, inputs.values()))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """The same batch on a device, ordered there as its axes are."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=non_blocking).contiguous())

    def __getitem__(self, rows: slice) -> "Batch":
        return self.map(lambda tensor: tensor[rows])

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch of every tensor's change."""
        inputs = self.inputs
        return Batch(
            change(inputs)
            if isinstance(inputs, Tensor)
            else {task: change(own) for task, own in inputs.items()},
            {task: change(target) for task, target in self.targets.items()},
        )

    def tensors(self) -> list[Tensor]:
        """The inputs, then the targets."""
        inputs = self.inputs
        first = [inputs] if isinstance(inputs, Tensor) else list(inputs.values())
        return [*first, *self.targets.values()]
