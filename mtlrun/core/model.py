"""Encoders that are sequences of stages, and models of shared and task-specific parameters."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from mtlrun.core.batch import TaskName
from mtlrun.core.identity import Identified
from mtlrun.core.task import Output, Task

Features = Any  # a tensor, or a tuple, list or dict of tensors


class Backbone(nn.Module, Identified):
    """An encoder as a sequence of stages, and the heads that fit it.

    The constructor's first argument is the data's `InputSpec`; the others are keyword-only.

    Attributes:
        stages: P - 1 modules, applied in sequence; so there are P branch positions. The first
            reads the batch's inputs; each later one the output of the one before.
    """

    stages: nn.ModuleList

    def forward(self, inputs: Any) -> Features:
        """Features of a batch: `merge` of what the stages put out."""
        outputs = []
        for stage in self.stages:
            inputs = stage(inputs)
            outputs.append(inputs)
        return self.merge(outputs)

    def merge(self, outputs: Sequence[Any]) -> Features:
        """The features that heads read, from the outputs of all stages; the last one's by default."""
        return outputs[-1]

    @abstractmethod
    def make_head(self, output: Output) -> nn.Module:
        """A head that turns `merge`'s features into an output of the input's size.

        Raises:
            ValueError: If no head of this backbone produces such an output.
        """

    def last_shared_layer(self) -> nn.Module:
        """The last module with a weight matrix: GradNorm's choice of parameters to compare."""
        return _last_with_a_matrix(self.stages, self.stages.parameters())


class MultiTaskModel(nn.Module, Identified):
    """Predicts several tasks from shared and task-specific parameters.

    Attributes:
        tasks: All that it can predict, in order.
    """

    tasks: tuple[Task, ...]

    def forward(self, inputs: Any, tasks: Sequence[TaskName]) -> dict[TaskName, Any]:
        """Predictions of some of the tasks; only their parts are computed.

        Args:
            inputs: As `Batch.inputs`.
            tasks: Names.
        """
        return self.decode(self.encode(inputs, tasks), tasks)

    @abstractmethod
    def encode(self, inputs: Any, tasks: Sequence[TaskName]) -> Features:
        """What the shared parameters make of the inputs; the only part that reads them."""

    @abstractmethod
    def decode(self, features: Features, tasks: Sequence[TaskName]) -> dict[TaskName, Any]:
        """Predictions from `encode`'s features by task-specific parameters."""

    @abstractmethod
    def shared_parameters(self) -> list[nn.Parameter]:
        """Disjoint from every task's; together they are all parameters."""

    @abstractmethod
    def task_parameters(self, task: TaskName) -> list[nn.Parameter]:
        """Those that serve one task only."""

    def last_shared_layer(self) -> nn.Module:
        """The last module with a shared weight matrix."""
        return _last_with_a_matrix(self, self.shared_parameters())

    def project(self) -> None:
        """Brings parameters back to where they may be, after every optimizer step; nothing by default."""

    def learned(self) -> Mapping[str, Any]:
        """Learned facts worth a line in the result, such as gates, as plain values; none by default."""
        return {}


def task_losses(
    tasks: Sequence[Task], predictions: Mapping[TaskName, Any], targets: Mapping[TaskName, Tensor]
) -> list[Tensor]:
    """Each task's scalar loss, in full precision whatever the predictions' type."""
    return [task.loss(full_precision(predictions[task.name]), targets[task.name]) for task in tasks]


@contextmanager
def unmoved_statistics(model: nn.Module) -> Iterator[None]:
    """Batch norm takes a batch's statistics, as while training, but its running ones stay."""
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.training
        and module.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def full_precision(prediction: Any) -> Any:
    """A prediction in float32 at least."""
    if isinstance(prediction, Tensor) and prediction.element_size() < 4:
        return prediction.float()
    return prediction


def _last_with_a_matrix(module: nn.Module, parameters: Iterable[nn.Parameter]) -> nn.Module:
    counted = {id(p) for p in parameters if p.dim() > 1}
    layers = [m for m in module.modules() if counted & {id(p) for p in m.parameters(recurse=False)}]
    return layers[-1]
