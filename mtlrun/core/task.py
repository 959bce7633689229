"""What is learned: a loss, metrics, and the form of the output."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor

from mtlrun.core.batch import TaskName

OutputKind = Literal["vector", "dense", "sequence", "route"]


@dataclass(frozen=True)
class Output:
    """What a head must produce: `vector` [B, C], `dense` [B, C, H, W], `sequence` [B, L, C]."""

    kind: OutputKind
    channels: int

    def identity(self) -> dict[str, Any]:
        """The plain values that stand for it in a training's name."""
        return {"kind": self.kind, "channels": self.channels}


class Metric(Protocol):
    """Accumulates over batches (and ranks) what one number is computed from at the end.

    torchmetrics' `Metric` fits. Metric objects are made fresh for every evaluation.
    """

    higher_is_better: bool | None

    def update(self, prediction: Any, target: Any) -> None:
        """Takes in a batch."""
        ...

    def compute(self) -> Any:
        """The number, as a scalar tensor."""
        ...

    def to(self, device: Any) -> Any:
        """The same metric on a device."""
        ...


@dataclass(frozen=True)
class Task:
    """What is learned.

    Attributes:
        name: On the command line, in tables and in files.
        output: What its head produces.
        loss: (prediction, target) -> scalar mean over the valid entries.
        metrics: Makers of fresh metrics by name; the first one leads: it picks the best group.
        directions: By metric name, whether higher is better.
    """

    name: TaskName
    output: Output
    loss: Callable[[Any, Any], Tensor]
    metrics: Mapping[str, Callable[[], Metric]]
    directions: Mapping[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.directions) != set(self.metrics) or not self.metrics:
            raise ValueError(
                f"Task `{self.name}` should say for each of its metrics whether higher is better. "
                f"Found metrics {sorted(self.metrics)} and directions {sorted(self.directions)}."
            )

    @property
    def leading_metric(self) -> str:
        """The name of the metric that picks the best of several groups."""
        return next(iter(self.metrics))

    def identity(self) -> dict[str, Any]:
        """The plain values that stand for it in a training's name; its loss belongs to the data's."""
        return {"name": self.name, "output": self.output.identity()}
