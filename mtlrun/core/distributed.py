"""What the processes of a data-parallel run tell each other; with one process nothing changes."""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

_T = TypeVar("_T")


def num_processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_index() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if num_processes() > 1 else 0


def from_first(value: _T) -> _T:
    """The first process's value, on every process."""
    if num_processes() == 1:
        return value
    box: list[Any] = [value]
    dist.broadcast_object_list(box, src=0)
    result: _T = box[0]
    return result


def average_(tensors: Sequence[Tensor]) -> None:
    """Replaces tensors, in place, by their means over the processes: one message for all of them."""
    count = num_processes()
    if count == 1 or not tensors:
        return
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    flat /= count
    for tensor, mean in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
        tensor.detach().copy_(mean.view_as(tensor))


def averaged(tensor: Tensor) -> Tensor:
    """The mean of a tensor over the processes, detached."""
    mean = tensor.detach().clone()
    average_([mean])
    return mean


def concatenated(tensor: Tensor, *, dim: int) -> Tensor:
    """The processes' tensors of one shape side by side, in the order of the processes."""
    tensor = tensor.detach().contiguous()
    parts = [torch.empty_like(tensor) for _ in range(num_processes())]
    dist.all_gather(parts, tensor)
    return torch.cat(parts, dim)
