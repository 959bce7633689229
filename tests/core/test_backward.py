"""Backward passes of several tasks at once against one pass a task."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from mtlrun.core import _backward
from mtlrun.core._backward import all_tasks_gradients, one_task_gradients

WIDTH = 6


class Residual(nn.Module):
    """A layer whose input also goes around it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.layer = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tanh(self.layer(self.norm(x)))


class Own(torch.autograd.Function):
    """Doubles, in a way that knows nothing of batches."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return 2 * gradient


class DataDependent(nn.Module):
    """Its backward pass has no rule for batches: what it indexes depends on values."""

    def forward(self, x: Tensor) -> Tensor:
        return x.masked_select(x > -1e9).reshape(x.shape)


def graph(
    layers: list[nn.Module], between: Callable[[Tensor], Tensor] = torch.tanh
) -> tuple[Tensor, list[Any], list[nn.Linear]]:
    """The outputs of some layers, the places of all their parameters and results, the linear layers."""
    torch.manual_seed(0)
    net = nn.Sequential(*layers).double()
    found: list[Any] = []
    linear = [m for m in net.modules() if isinstance(m, nn.Linear)]
    for module in linear:
        module.register_forward_hook(lambda _, __, out: found.append(get_gradient_edge(out)))
    x = torch.randn(4, WIDTH, dtype=torch.float64)
    for layer in net:
        x = between(layer(x))
    return x, [*found, *net.parameters()], linear


def by_task(outputs: Tensor, places: list[Any], gradients: list[list[Tensor]]) -> list[Any]:
    return [one_task_gradients([outputs], places, row, retain_graph=True) for row in gradients]


def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """By call of autograd, how many places it is asked for."""
    seen: list[int] = []
    real = torch.autograd.grad

    def counted(outputs: Any, inputs: Any, *rest: Any, **settings: Any) -> Any:
        seen.append(len(inputs))
        return real(outputs, inputs, *rest, **settings)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    return seen


GRAPHS: dict[str, Callable[[], tuple[Tensor, list[Any], list[nn.Linear]]]] = {
    "chain": lambda: graph([nn.Linear(WIDTH, WIDTH) for _ in range(4)]),
    "residual": lambda: graph([Residual() for _ in range(4)]),
    "own function": lambda: graph([nn.Linear(WIDTH, WIDTH) for _ in range(4)], Own.apply),
    "data-dependent": lambda: graph(
        [nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), DataDependent(), Residual()]
    ),
    "one parameter at two places": lambda: graph([shared := Residual(), Residual(), shared]),
}


@pytest.mark.parametrize("unformed", range(5))
@pytest.mark.parametrize("name", GRAPHS)
def test_all_tasks_at_once_equal_one_after_another(name: str, unformed: int) -> None:
    outputs, places, linear = GRAPHS[name]()
    upper = linear[len(linear) - unformed :] if unformed else []
    left = {id(p): 1 for layer in upper for p in layer.parameters()}
    places = [p for p in places if id(p) not in left]
    gradients = [[torch.randn_like(outputs)] for _ in range(3)]
    expected = by_task(outputs, places, gradients)
    found = all_tasks_gradients([outputs], places, gradients, savings=left, retain_graph=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    again = all_tasks_gradients([outputs], places, gradients, savings=left)
    torch.testing.assert_close(again, expected, rtol=0, atol=1e-14)


def test_the_unformed_part_is_walked_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, places, linear = GRAPHS["residual"]()
    left = {id(p): 1 for layer in linear[2:] for p in layer.parameters()}
    places = [p for p in places if id(p) not in left]
    gradients = [[torch.randn_like(outputs)] for _ in range(3)]
    seen = passes(monkeypatch)
    all_tasks_gradients([outputs], places, gradients, savings=left)
    above = 2 + 4 + 1  # outputs and norms of two layers, and the cut
    assert seen == [above, *[len(places) + 1 - above] * 3]


@pytest.mark.parametrize(
    ("savings", "at_once"), [([5, -4, -4, 3], 1), ([-2, 5, -4, 3], 3), ([1, 1, 1, -9], 0)]
)
def test_the_part_that_saves_most_is_walked_back_at_once(
    savings: list[int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs, places, linear = GRAPHS["chain"]()
    pairs = zip(linear, savings, strict=True)
    left = {id(p): s for layer, s in pairs for p in (layer.weight,)}
    left |= {id(layer.bias): 0 for layer in linear}
    places = [p for p in places if id(p) not in left]
    gradients = [[torch.randn_like(outputs)] for _ in range(2)]
    seen = passes(monkeypatch)
    all_tasks_gradients([outputs], places, gradients, savings=left)
    rest = [4 - at_once] * 2
    assert seen == ([at_once + 1, *rest] if at_once else rest)


def test_a_task_that_does_not_read_an_output_has_none() -> None:
    outputs, places, linear = GRAPHS["chain"]()
    left = {id(p): 1 for layer in linear[2:] for p in layer.parameters()}
    places = [p for p in places if id(p) not in left]
    found = all_tasks_gradients(
        [outputs], places, [[None], [torch.ones_like(outputs)]], savings=left
    )
    assert found[0] == [None] * len(places)
    assert all(part is not None for part in found[1])


def test_too_little_memory_for_all_at_once_is_enough_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[weakref.ref[Tensor]] = []

    def fail(walk: Any) -> Any:
        def run(*stacked: Tensor) -> Any:
            held.extend(weakref.ref(part) for part in stacked)
            raise torch.OutOfMemoryError("simulated")

        return run

    real = _backward._each

    def one_by_one(*args: Any, **settings: Any) -> Any:
        assert held
        assert all(reference() is None for reference in held)
        return real(*args, **settings)

    outputs, places, linear = GRAPHS["chain"]()
    left = {id(p): 1 for layer in linear[2:] for p in layer.parameters()}
    places = [p for p in places if id(p) not in left]
    gradients = [[torch.randn_like(outputs)] for _ in range(2)]
    expected = by_task(outputs, places, gradients)
    monkeypatch.setattr(torch, "vmap", fail)
    monkeypatch.setattr(_backward, "_each", one_by_one)
    found = all_tasks_gradients([outputs], places, gradients, savings=left)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_several_outputs_one_of_which_is_on_the_way_to_another() -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(WIDTH, WIDTH).double() for _ in range(4)]
    x = torch.tanh(layers[0](torch.randn(4, WIDTH, dtype=torch.float64)))
    first = torch.tanh(layers[1](x))
    second, third = layers[3](torch.tanh(layers[2](first))).chunk(2, dim=1)
    outputs = [first, second, third]
    places = list(layers[0].parameters())
    gradients = [[torch.randn_like(output) for output in outputs] for _ in range(3)]
    expected = [
        one_task_gradients(outputs, places, row, retain_graph=True)  # type: ignore[arg-type]  # invariance
        for row in gradients
    ]
    left = {id(p): 1 for layer in layers[1:] for p in layer.parameters()}
    found = all_tasks_gradients(outputs, places, gradients, savings=left)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_norms_of_batches_in_place_functions_and_leaves() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, 3),
        nn.BatchNorm2d(5),
    ).double()
    leaf = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    output = net(torch.randn(2, 3, 6, 7, dtype=torch.float64))
    left = {id(p): 1 for p in net[3].parameters()}
    places = [p for p in net.parameters() if id(p) not in left]
    gradients = [[torch.randn_like(output)] for _ in range(3)]
    expected = by_task(output, places, gradients)
    found = all_tasks_gradients([output], places, gradients, savings=left, retain_graph=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    with_leaf = [[*row, torch.ones_like(leaf)] for row in gradients]
    found = all_tasks_gradients([output, leaf], places, with_leaf, savings=left)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
