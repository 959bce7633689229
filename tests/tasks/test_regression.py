import math

import pytest
import torch

from mtlrun.core.task import Task
from mtlrun.tasks.curvature import curvature
from mtlrun.tasks.regression import regression

NAN = math.nan


def computed(task: Task, prediction: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    metrics = {name: make() for name, make in task.metrics.items()}
    for metric in metrics.values():
        for row in range(len(target)):
            metric.update(prediction[row : row + 1], target[row : row + 1])
    return {name: float(metric.compute()) for name, metric in metrics.items()}


def test_regression_counts_known_entries_of_all_channels() -> None:
    target = torch.tensor([[[[1.0, NAN]], [[2.0, 0.0]]], [[[NAN, NAN]], [[NAN, 4.0]]]])
    prediction = torch.zeros_like(target)
    task = regression("shade", channels=2)
    # By hand: (1 + 2 + 0 + 4) / 4.
    assert float(task.loss(prediction, target)) == pytest.approx(7 / 4)
    assert computed(task, prediction, target) == {"abs_error": pytest.approx(7 / 4)}


def test_curvature_is_squared_and_its_root_is_taken_once() -> None:
    target = torch.tensor([[[[1.0, NAN]], [[3.0, 0.0]]], [[[NAN, NAN]], [[NAN, 2.0]]]])
    prediction = torch.zeros_like(target)
    # By hand: (1 + 9 + 0 + 4) / 4 = 3.5.
    assert float(curvature().loss(prediction, target)) == pytest.approx(3.5)
    expected = {"rmse": pytest.approx(3.5**0.5), "mse": pytest.approx(3.5)}
    assert computed(curvature(), prediction, target) == expected


def test_no_known_entry_gives_a_loss_and_gradient_of_zero() -> None:
    target = torch.full((1, 2, 2, 2), NAN)
    for task in (curvature(), regression("shade", channels=2)):
        prediction = torch.ones_like(target, requires_grad=True)
        loss = task.loss(prediction, target)
        loss.backward()
        assert float(loss.detach()) == 0
        assert prediction.grad is not None
        assert not prediction.grad.any()
