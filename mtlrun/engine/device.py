"""The device a run computes on, and the memory it takes there."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from mtlrun.core.method import Precision


def device_named(name: str) -> torch.device:
    """The device of a name; "auto" is the accelerator where there is one.

    Raises:
        ValueError: If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"`device` should name a device of this machine. Found `device = {name}`: {error} "
            f"Set trainer.device=auto."
        ) from error
    return device


def peak_memory(device: torch.device) -> int:
    """The most bytes that were in use: on the accelerator, else by the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_peak_memory(device: torch.device) -> None:
    """Begins to count anew, where the device can; a process's peak is that of its whole life."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


@contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """In this block torch takes deterministic algorithms if wanted, and warns where it has none."""
    enabled = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    if wanted:
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)


@contextmanager
def float32_rounding(precision: Precision) -> Iterator[None]:
    """In this block float32 products of accelerators are float32's own, or TF32's if that is the precision.

    TF32 has 11 bits, and is what torch takes for convolutions where nothing is said: an affinity of
    tasks, a difference of nearly equal losses, is then mostly rounding.
    """
    cudnn: Any = torch.backends.cudnn  # conv and rnn are not annotated
    places: tuple[Any, ...] = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    try:
        yield
    finally:
        for place, own in zip(places, before, strict=True):
            place.fp32_precision = own
