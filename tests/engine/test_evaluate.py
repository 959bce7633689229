"""Losses and metrics of tasks that have inputs of their own, in batches of uneven sizes."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError

from mtlrun.core.batch import Batch
from mtlrun.core.method import StepSettings
from mtlrun.core.model import MultiTaskModel
from mtlrun.core.task import Output, Task
from mtlrun.engine.evaluate import evaluate

TASKS = [
    Task(name, Output("vector", 1), F.mse_loss, {"mae": MeanAbsoluteError}, {"mae": False})
    for name in ("a", "b")
]


class Echo(MultiTaskModel):
    """Predicts each task's inputs; remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks = tuple(TASKS)
        self.weight = nn.Parameter(torch.ones(()))
        self.asked: list[list[str]] = []

    def encode(self, inputs: Mapping[str, Tensor], tasks: Sequence[str]) -> Any:
        self.asked.append(list(tasks))
        return inputs

    def decode(self, features: Any, tasks: Sequence[str]) -> dict[str, Any]:
        return {task: features[task] * self.weight for task in tasks}

    def shared_parameters(self) -> list[nn.Parameter]:
        return [self.weight]

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        return []


def batch(**numbers: list[float]) -> Batch:
    inputs = {task: torch.tensor(own)[:, None] for task, own in numbers.items()}
    return Batch(inputs, {task: torch.zeros_like(own) for task, own in inputs.items()})


def test_each_task_is_a_mean_over_its_own_examples_and_skipped_where_it_has_none() -> None:
    model = Echo()
    batches = [batch(a=[1, 1, 4], b=[2]), batch(a=[2], b=[]), batch(a=[], b=[])]
    scores = evaluate(model, TASKS, batches, StepSettings())
    assert model.asked == [["a", "b"], ["a"]]
    # By hand: squares 1, 1, 16, 4 of a; 4 of b.
    assert scores["a"] == {"loss": pytest.approx(5.5), "mae": pytest.approx(2)}
    assert scores["b"] == {"loss": pytest.approx(4), "mae": pytest.approx(2)}
