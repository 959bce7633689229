from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.prune import l1_unstructured

from mtlrun.core import layers as layers_module
from mtlrun.core.batch import Batch
from mtlrun.core.compared_gradients import ComparedGradients
from mtlrun.core.gradients import (
    flattened,
    gramian,
    shared_pass,
    stored_gramian,
    task_gradients,
    weighted_gradient,
)
from mtlrun.core.layers import layer_is_cheaper_unformed
from mtlrun.core.model import Backbone
from mtlrun.core.task import Output
from mtlrun.networks.hard_sharing import HardSharing
from tests.affinities.models import losses_of, noisy_point, task


class Layers(Backbone):
    """Any layers, then the mean over all places."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(layers)
        self.width = 0

    def merge(self, outputs: Sequence[Tensor]) -> Tensor:
        return outputs[-1].flatten(1)

    def make_head(self, output: Output) -> nn.Module:
        return nn.LazyLinear(output.channels)


class Twice(nn.Module):
    """One layer, called two times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(torch.tanh(self.layer(x)))


class Tied(nn.Module):
    """A layer, and its weight once more outside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.tanh(self.layer(x)), self.layer.weight.T)


LAYERS = {
    "linear": ([nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 7, bias=False)], (3, 6)),
    "linear on sequences": (
        [nn.Linear(6, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 4)],
        (3, 7, 6),
    ),
    "relu in place": ([nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 4)], (3, 6)),
    "weight used again": ([Tied(), nn.Linear(6, 4)], (3, 6)),
    "weight made of others": (
        [l1_unstructured(nn.Linear(6, 5), "weight", 3), nn.Tanh(), nn.Linear(5, 4)],
        (3, 6),
    ),
    "called twice": ([Twice(), nn.Linear(6, 4)], (3, 6)),
    "convolutions": (
        [
            nn.Conv2d(4, 6, 3, stride=2, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 8, (3, 1), padding=(2, 0), dilation=2, groups=2),
            nn.Tanh(),
            nn.Conv2d(8, 8, 3, groups=8, bias=False),
            nn.Conv2d(8, 3, 1),
        ],
        (2, 4, 11, 9),
    ),
    "padding by copies": ([nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular")], (2, 4, 5, 5)),
    "padding by name": ([nn.Conv2d(4, 4, 4, padding="same")], (2, 4, 5, 5)),
    "series": (
        [
            nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2),
            nn.GroupNorm(2, 6),
            nn.Conv1d(6, 4, 2),
        ],
        (3, 4, 12),
    ),
}


def model_and_batch(name: str) -> tuple[HardSharing, Batch]:
    torch.manual_seed(0)
    layers, shape = LAYERS[name]
    tasks = [task(n, F.mse_loss, 2) for n in ("a", "b", "c")]
    model = HardSharing(Layers(layers), tasks, seed=0).double()
    inputs = torch.randn(shape, dtype=torch.float64)
    with torch.no_grad():
        model(inputs, ["a", "b", "c"])
    targets = {n: torch.randn(shape[0], 2, dtype=torch.float64) for n in ("a", "b", "c")}
    return model.double().train(), Batch(inputs, targets)


@pytest.mark.parametrize("unformed", [True, False, None], ids=["all", "none", "cheaper ones"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_the_gramian_is_that_of_stored_gradients(
    name: str, unformed: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if unformed is not None:
        monkeypatch.setattr(layers_module, "layer_is_cheaper_unformed", lambda *_: unformed)
    model, batch = model_and_batch(name)
    recorded = shared_pass(model, model.tasks, batch, heads=False, layers=True)
    found = gramian(recorded, retain_graph=True)
    rows = flattened(task_gradients(recorded))
    torch.testing.assert_close(found, rows @ rows.T, rtol=1e-10, atol=1e-12)
    if unformed and name != "padding by copies" and name != "padding by name":
        assert recorded.layers


@pytest.mark.parametrize("unformed", [True, False], ids=["unformed", "formed"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_a_sum_of_compared_gradients_is_that_of_one_more_backward_pass(
    name: str, unformed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers_module, "layer_is_cheaper_unformed", lambda *_: unformed)
    model, batch = model_and_batch(name)
    weights = torch.tensor([0.2, -1.0, 3.0], dtype=torch.float64)
    expected = weighted_gradient(shared_pass(model, model.tasks, batch), weights)
    compared = ComparedGradients(shared_pass(model, model.tasks, batch, layers=True))
    torch.testing.assert_close(compared.weighted(weights), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_the_gramian_of_some_parameters_counts_only_those(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers_module, "layer_is_cheaper_unformed", lambda *_: True)
    model, batch = model_and_batch("convolutions")
    matrices = [p for p in model.shared_parameters() if p.dim() > 1]
    recorded = shared_pass(model, model.tasks, batch, layers=True)
    found = gramian(recorded, parameters=matrices, retain_graph=True)
    kept = [k for k, p in enumerate(recorded.parameters) if p.dim() > 1]
    rows = flattened([[row[k] for k in kept] for row in task_gradients(recorded)])
    torch.testing.assert_close(found, rows @ rows.T, rtol=1e-10, atol=1e-12)


def test_task_gradients_are_those_of_whole_backward_passes() -> None:
    point = noisy_point(dropout=0.0)
    forward = shared_pass(point.model, point.tasks, point.batch)
    rows = task_gradients(forward)
    shared = point.model.shared_parameters()
    losses = losses_of(point.model, point.batch)
    for t, (loss, row) in enumerate(zip(losses, rows, strict=True)):
        own = point.model.task_parameters(point.tasks[t].name)
        expected = torch.autograd.grad(loss, [*shared, *own], retain_graph=True)
        for found, value in zip([*row, *forward.head_gradients[t]], expected, strict=True):
            torch.testing.assert_close(found, value, rtol=0, atol=1e-13)
        assert float(forward.losses[t]) == pytest.approx(float(loss.detach()), abs=1e-14)


def test_a_weighted_gradient_is_the_weighted_sum_of_rows() -> None:
    point = noisy_point()
    forward = shared_pass(point.model, point.tasks, point.batch)
    weights = torch.tensor([0.2, -1.0, 3.0], dtype=torch.float64)
    combined = weighted_gradient(forward, weights, retain_graph=True)
    rows = flattened(task_gradients(forward))
    torch.testing.assert_close(flattened([combined])[0], weights @ rows, rtol=0, atol=1e-12)


def test_gradients_of_what_a_loss_does_not_read_are_zero() -> None:
    point = noisy_point(dropout=0.0)
    constant = task("t0", lambda p, t: (t**2).sum() + 0.0 * p.detach().sum())
    tasks = [constant, *point.tasks[1:]]
    targets = {n: t.clone().requires_grad_() for n, t in point.batch.targets.items()}
    forward = shared_pass(point.model, tasks, Batch(point.batch.inputs, targets), layers=True)
    found = gramian(forward, retain_graph=True)
    rows = task_gradients(forward, retain_graph=True)
    assert all(not part.any() for part in [*rows[0], *forward.head_gradients[0]])
    torch.testing.assert_close(found, stored_gramian(rows), rtol=0, atol=1e-12)


@pytest.mark.parametrize("unformed", [True, False], ids=["unformed", "formed"])
def test_a_sum_knows_what_a_loss_does_not_read(
    unformed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers_module, "layer_is_cheaper_unformed", lambda *_: unformed)
    model, batch = model_and_batch("linear")
    blind = task("b", lambda p, t: (t**2).sum() + 0.0 * p.detach().sum())
    tasks = [model.tasks[0], blind, model.tasks[2]]
    targets = {n: t.clone().requires_grad_() for n, t in batch.targets.items()}
    forward = shared_pass(model, tasks, Batch(batch.inputs, targets), layers=True)
    assert bool(forward.layers) is unformed
    weights = torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64)
    rows = flattened(task_gradients(forward, retain_graph=True))
    found = flattened([ComparedGradients(forward).weighted(weights)])[0]
    torch.testing.assert_close(found, weights @ rows, rtol=1e-10, atol=1e-12)
    nothing = shared_pass(model, [blind], Batch(batch.inputs, targets), layers=True)
    zero = ComparedGradients(nothing).weighted(weights[:1])
    assert not any(part.any() for part in zero)


def test_a_sum_under_autocast_is_as_near_as_that_of_a_backward_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layers_module, "layer_is_cheaper_unformed", lambda *_: True)
    model, batch = model_and_batch("linear on sequences")
    weights = torch.tensor([0.2, -1.0, 3.0])
    exact = weighted_gradient(shared_pass(model, model.tasks, batch), weights.double())
    model.float()
    assert isinstance(batch.inputs, Tensor)
    single = Batch(batch.inputs.float(), {n: t.float() for n, t in batch.targets.items()})

    def cast() -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16)

    def error(found: list[Tensor]) -> float:
        difference = flattened([found]).double() - flattened([exact])
        return float(difference.norm() / flattened([exact]).norm())

    plain = weighted_gradient(shared_pass(model, model.tasks, single, autocast=cast()), weights)
    forward = shared_pass(model, model.tasks, single, autocast=cast(), layers=True)
    assert forward.layers
    found = ComparedGradients(forward).weighted(weights)
    assert all(part.dtype == torch.float32 for part in found)
    assert error(found) < 1.5 * error(plain) < 0.1


def test_all_tasks_see_the_masks_of_one_forward_pass() -> None:
    point = noisy_point()
    torch.manual_seed(3)
    forward = shared_pass(point.model, point.tasks, point.batch)
    rows = task_gradients(forward)
    torch.manual_seed(3)
    losses = losses_of(point.model, point.batch)
    for t, (loss, row) in enumerate(zip(losses, rows, strict=True)):
        expected = torch.autograd.grad(loss, point.model.shared_parameters(), retain_graph=True)
        torch.testing.assert_close(row, list(expected), rtol=0, atol=1e-13)
        torch.testing.assert_close(forward.losses[t], loss.detach(), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs", "unformed"),
    [(48, 4608, 512, True), (3072, 576, 64, False), (256, 512, 512, True), (10**6, 9, 1, False)],
)
def test_layers_of_few_rows_and_many_weights_are_not_formed(
    rows: int, inputs: int, outputs: int, unformed: bool
) -> None:
    assert layer_is_cheaper_unformed(9, rows, inputs, outputs) is unformed


def test_parameters_that_are_not_trained_have_no_gradient() -> None:
    point = noisy_point()
    frozen = point.model.shared_parameters()[0]
    frozen.requires_grad_(False)
    forward = shared_pass(point.model, point.tasks, point.batch, layers=True)
    assert len(forward.parameters) == len(point.model.shared_parameters()) - 1
    torch.testing.assert_close(
        gramian(forward, retain_graph=True), stored_gramian(task_gradients(forward))
    )
