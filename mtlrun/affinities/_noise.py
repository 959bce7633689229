"""How large float rounding is in a collected gain.

A gain is a difference of two nearly equal losses. What rounding does to it is measured: all
parameters are moved by the size of rounding in the floats that the pass computes in (with the
variance of an error that is uniform within half a spacing), which makes every later rounding in the
forward pass fall out anew, and the losses are read again. The root mean square of their relative changes
over tasks and probes is the noise of one gain; the mean of N gains has it divided by sqrt(N). Half
a unit in the last place is the least noise there is. A probe costs two forward passes and is made
at the first, second, fourth, eighth, ... collected batch.

Rounding in the gradients is not in it: it changes the step that is measured, by a share of the gain
itself (a thousandth in a deep ReLU network), and so cannot drown the gain.
"""

import math
from typing import Any

import torch

from mtlrun.affinities._virtual import VirtualUpdates, averaged_losses
from mtlrun.core.seeding import seed_for


class NoiseProbe:
    """Accumulates the relative size of rounding in losses."""

    def __init__(self) -> None:
        self._squares: float = 0.0
        self._count: int = 0
        self._least: float = 0.0

    @staticmethod
    def is_due(collected: int) -> bool:
        """Whether to probe at the batch after so many collected ones: at powers of two."""
        return (collected + 1) & collected == 0

    def take(self, updates: VirtualUpdates, tasks: list[int], collected: int) -> None:
        """Measures the tasks' losses before and after new rounding; resets the virtual updates."""
        parameter = next(iter(updates.losses.values()))
        generator = torch.Generator(parameter.device)
        generator.manual_seed(seed_for(collected, "noise"))
        updates.reset()
        before = updates.read(tasks)
        updates.jitter(generator)
        after = updates.read(tasks)
        updates.reset()
        losses = averaged_losses([*before, *after])
        change = losses[len(tasks) :] / losses[: len(tasks)] - 1
        change = change[change.isfinite()]
        self._squares += float(change.square().sum())
        self._count += len(change)
        self._least = torch.finfo(parameter.dtype).eps / 2

    @property
    def relative(self) -> float | None:
        """The root mean square of the changes; None before a probe."""
        if self._count == 0:
            return None
        return max(math.sqrt(self._squares / self._count), self._least)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"squares": self._squares, "count": self._count, "least": self._least}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._squares, self._count = state["squares"], state["count"]
        self._least = state["least"]
