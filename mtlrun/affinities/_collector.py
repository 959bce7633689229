"""What the collectors share: when to look, and the mean of what was seen."""

import math
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mtlrun.affinities._noise import NoiseProbe
from mtlrun.core.grouping import Affinity
from mtlrun.core.method import AffinityCollector, TrainingPoint

Gains = Literal["exact", "first_order", "auto"]

# Gains this many times above their noise are taken by subtraction of losses under `gains="auto"`.
_CLEAR_OF_NOISE = 10.0


@dataclass(frozen=True)
class Observation:
    """What one batch told.

    Attributes:
        values: [T, T] float64 on CPU; not finite where the entry is of no use.
        looked_at: [T, T] bool, which entries the collector tried.
        noise: The size of rounding in an entry.
        first_order: Whether the values are first-order ones.
    """

    values: Tensor
    looked_at: Tensor
    noise: float
    first_order: bool = False


class MeanCollector(AffinityCollector):
    """Averages [T, T] observations, each entry over the batches that gave it a finite value.

    Args:
        kind: What the affinity is called.
        every: Batches from one that is looked at to the next.
    """

    def __init__(self, kind: str, *, every: int) -> None:
        if every < 1:
            raise ValueError(f"`every` should be at least 1. Found `every = {every}`.")
        self._kind, self._every = kind, every
        self._tasks: tuple[str, ...] = ()
        self._sums = torch.zeros(0, 0, dtype=torch.float64)
        self._counts = torch.zeros(0, 0, dtype=torch.int64)
        self._skipped = 0
        self._observed = 0
        self._collected = 0
        self._first_order = 0
        self._squared_noise = 0.0
        self._learning_rates = [math.inf, -math.inf]
        self.probe = NoiseProbe()

    @property
    def collected(self) -> int:
        """How many batches were looked at."""
        return self._collected

    @abstractmethod
    def look(self, point: TrainingPoint) -> Observation:
        """What a batch tells; leaves no trace."""

    def describe(self) -> dict[str, Any]:
        """Settings worth keeping beside the values."""
        return {}

    def observe(self, point: TrainingPoint) -> None:
        """Looks at every `every`-th batch, the first included."""
        due = self._observed % self._every == 0
        self._observed += 1
        if not due:
            return
        names = tuple(task.name for task in point.tasks)
        if not self._tasks:
            self._tasks = names
            self._sums = torch.zeros(len(names), len(names), dtype=torch.float64)
            self._counts = torch.zeros(len(names), len(names), dtype=torch.int64)
        assert names == self._tasks, f"tasks changed from {self._tasks} to {names}"
        found = self.look(point)
        usable = found.looked_at & found.values.isfinite()
        self._sums += torch.where(usable, found.values, 0.0)
        self._counts += usable
        self._skipped += int((found.looked_at & ~usable).sum())
        self._collected += 1
        self._first_order += found.first_order
        self._squared_noise += found.noise**2
        low, high = self._learning_rates
        self._learning_rates = [min(low, point.learning_rate), max(high, point.learning_rate)]

    def affinity(self) -> Affinity:
        """The means, row = source, column = target; 0, with a warning, where nothing was seen.

        The noise floor is that of an entry between different tasks that was observed as often as
        half of them.

        Raises:
            ValueError: If no batch was observed.
        """
        if self._collected == 0:
            raise ValueError(
                "An affinity should be the mean of one batch at least. Found none. Train for more steps."
            )
        missing = int((self._counts == 0).sum())
        if missing:
            warnings.warn(
                f"Every pair of tasks should be observed. Found {missing} of {self._counts.numel()} "
                f"entries without a usable observation; they are 0. Collect more batches.",
                stacklevel=2,
            )
        values = self._sums / self._counts.clamp(min=1)
        between = self._counts[~torch.eye(len(self._tasks), dtype=torch.bool)]
        typical = max(int((between if between.numel() else self._counts).median()), 1)
        low, high = self._learning_rates
        return Affinity(
            self._tasks,
            values.numpy().copy(),
            int(self._counts.max()),
            self._kind,
            (self._squared_noise / self._collected / typical) ** 0.5,
            {
                "every": self._every,
                "observed_batches": self._observed,
                "collected_batches": self._collected,
                "first_order_batches": self._first_order,
                "smallest_learning_rate": low,
                "largest_learning_rate": high,
                "skipped_entries": self._skipped,
                "unobserved_entries": missing,
            }
            | self.describe(),
        )

    def state_dict(self) -> dict[str, Any]:
        """Sums, counts and what else the means need."""
        return {
            "tasks": list(self._tasks),
            "sums": self._sums.clone(),
            "counts": self._counts.clone(),
            "skipped": self._skipped,
            "observed": self._observed,
            "collected": self._collected,
            "first_order": self._first_order,
            "squared_noise": self._squared_noise,
            "learning_rates": list(self._learning_rates),
            "probe": self.probe.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._tasks = tuple(state["tasks"])
        # A checkpoint is read onto the model's device; observations are added up on the CPU.
        self._sums, self._counts = state["sums"].cpu().clone(), state["counts"].cpu().clone()
        self._skipped, self._observed = state["skipped"], state["observed"]
        self._collected, self._first_order = state["collected"], state["first_order"]
        self._squared_noise = state["squared_noise"]
        self._learning_rates = list(state["learning_rates"])
        self.probe.load_state_dict(state["probe"])


def relative_rounding(dtype: torch.dtype) -> float:
    """The deviation of an error that is uniform within half a spacing of floats, relative to 1."""
    return torch.finfo(dtype).eps / math.sqrt(12)


def first_order_noise(values: Tensor, dtype: torch.dtype) -> float:
    """Rounding in first-order values: relative rounding times their size for a task on itself.

    An entry is an inner product of two gradients; it is rounded relative to the product of their
    norms, which the diagonal tells.
    """
    return relative_rounding(dtype) * float(values.diagonal().abs().nan_to_num(0.0).mean())


def is_clear_of_noise(values: Tensor, noise: float) -> bool:
    """Whether most values [T, T] between different tasks lie well above the noise of exact gains."""
    size = len(values)
    between = values[~torch.eye(size, dtype=torch.bool)] if size > 1 else values
    between = between[between.isfinite()]
    if between.numel() == 0:
        return True
    return float(between.abs().median()) >= _CLEAR_OF_NOISE * noise
