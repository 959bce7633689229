"""Theorem 3 of Deep Safe Multi-Task Learning, on linear models whose best losses are known."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanSquaredError

from mtlrun.core.model import Backbone, MultiTaskModel, task_losses
from mtlrun.core.seeding import generator_for, seeded
from mtlrun.core.task import Output, Task
from mtlrun.networks.dsmtl import DSMTL
from mtlrun.networks.gate import GateKind
from mtlrun.networks.hard_sharing import HardSharing

NAMES = ("a", "b", "c")
TASKS = [
    Task(name, Output("vector", 2), F.mse_loss, {"mse": MeanSquaredError}, {"mse": False})
    for name in NAMES
]


class OneFeature(Backbone):
    """A single number of four, without a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Linear(4, 1, bias=False)])

    def make_head(self, output: Output) -> nn.Module:
        return nn.Linear(1, output.channels, bias=False)


def encoder(purpose: str) -> OneFeature:
    with seeded(0, purpose):
        return OneFeature()


def examples(alike: float) -> tuple[Tensor, dict[str, Tensor]]:
    """[60, 4] inputs and [60, 2] targets of every task, which share their rule by a degree in 0..1."""
    draws = generator_for(0, "optima")

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draws, dtype=torch.float64)

    x, common = normal(60, 4), normal(4, 2)
    rules = {name: alike * common + (1 - alike) * normal(4, 2) for name in NAMES}
    return x, {name: x @ rule + 0.1 * normal(60, 2) for name, rule in rules.items()}


def best_of_rank_1(x: Tensor, y: Tensor) -> float:
    """The least mean squared error of y = x u v: least squares, then its first principal component."""
    inputs, outputs = x.numpy(), y.numpy()
    fitted = inputs @ np.linalg.lstsq(inputs, outputs, rcond=None)[0]
    direction = np.linalg.svd(fitted)[2][:1]
    return float(np.mean((outputs - fitted @ direction.T @ direction) ** 2))


def least_loss(model: MultiTaskModel, x: Tensor, targets: dict[str, Tensor]) -> float:
    """The mean loss over the model's tasks when it is trained to the end."""
    names = [task.name for task in model.tasks]
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=2000, tolerance_grad=1e-10, tolerance_change=0.0,
        history_size=50, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def loss() -> Tensor:
        optimizer.zero_grad()
        mean = torch.stack(task_losses(model.tasks, model(x, names), targets)).mean()
        mean.backward()  # type: ignore[no-untyped-call]  # torch's backward has no annotations
        return mean

    optimizer.step(loss)
    return float(loss().detach())


def shared(tasks: Sequence[Task]) -> HardSharing:
    return HardSharing(encoder("public"), tasks, seed=0).double()


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("gate", ["sigmoid", "softmax2"])
def test_the_best_joint_model_is_no_worse_than_the_best_single_task_and_shared_ones(
    alike: float, gate: GateKind
) -> None:
    x, targets = examples(alike)
    alone = [least_loss(shared([task]), x, {task.name: targets[task.name]}) for task in TASKS]
    assert alone == pytest.approx([best_of_rank_1(x, y) for y in targets.values()], rel=1e-6)
    together = least_loss(shared(TASKS), x, targets)
    assert together == pytest.approx(best_of_rank_1(x, torch.cat([*targets.values()], 1)), rel=1e-6)
    private = {name: encoder(name) for name in NAMES}
    model = DSMTL(encoder("public"), private, TASKS, seed=0, gate=gate).double()
    assert least_loss(model, x, targets) <= min(sum(alone) / 3, together) * (1 + 1e-6)
