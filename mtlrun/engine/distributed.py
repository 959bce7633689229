"""Processes that train together under torchrun."""

import datetime
import pickle
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from mtlrun.core.distributed import num_processes, process_index

_T = TypeVar("_T")
_M = TypeVar("_M", bound=nn.Module)


def start(device: torch.device) -> torch.device:
    """Joins the other processes where torchrun started this one.

    Returns:
        The device of this process.
    """
    if not dist.is_torchelastic_launched():
        return device
    if not dist.is_initialized():
        # A process may wait for hours while another one's training holds the lock.
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo", timeout=datetime.timedelta(days=2)
        )
    if device.type == "cuda":
        device = torch.device("cuda", dist.get_node_local_rank())
        torch.cuda.set_device(device)
    return device


def stop() -> None:
    """Leaves the other processes."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def is_first() -> bool:
    """Whether this process writes files and speaks."""
    return process_index() == 0


def from_all(value: _T) -> list[_T]:
    """Every process's value, in their order."""
    if num_processes() == 1:
        return [value]
    pickle.dumps(value)  # fails here, by name, and not inside the collective
    values: list[Any] = [None] * num_processes()
    dist.all_gather_object(values, value)
    return values


def any_process(flags: list[bool], device: torch.device) -> list[bool]:
    """For each flag, whether any process raised it."""
    if num_processes() == 1:
        return flags
    raised = torch.tensor(flags, dtype=torch.float32, device=device)
    dist.all_reduce(raised)
    return [bool(flag) for flag in raised > 0]


def with_synchronised_norm(model: _M, device: torch.device) -> _M:
    """A model whose batch-norm statistics are those of the global batch, where torch can (CUDA)."""
    if num_processes() == 1 or device.type != "cuda":
        return model
    converted: _M = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]  # torch has no annotations there
    return converted


def has_batch_norm(model: nn.Module) -> bool:
    """Whether a model normalises by statistics of the batch."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
