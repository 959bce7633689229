"""The network of representations: one pass over examples and over what priors are made of."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from mtlrun.networks._gaussian import Gaussian
from mtlrun.networks._latent import GaussianNetwork

R, COUNT, D, E = 7, 3, 6, 5


def network(*, net: str = "mlp", dropout: float = 0.0, bayesian: bool = True) -> GaussianNetwork:
    torch.manual_seed(0)
    own = GaussianNetwork(D, E, net=net, hidden=8, dropout=dropout, bayesian=bayesian)  # type: ignore[arg-type]  # a string
    return own.double()


def rows() -> Tensor:
    return torch.randn(R, D, generator=torch.Generator().manual_seed(1)).double()


def values(*parts: Gaussian) -> list[Tensor]:
    return [own for part in parts for own in (part.mean, part.variance) if own is not None]


def gradients(own: list[Tensor], model: GaussianNetwork) -> tuple[Tensor | None, ...]:
    noise = torch.Generator().manual_seed(2)
    total = sum((torch.randn(v.shape, generator=noise).double() * v).sum() for v in own)
    assert isinstance(total, Tensor)
    return torch.autograd.grad(total, list(model.parameters()), allow_unused=True)


@pytest.mark.parametrize("net", ["mlp", "linear"])
@pytest.mark.parametrize("bayesian", [True, False])
@pytest.mark.parametrize("parts", [slice(0, 1), slice(1, 2), slice(0, 2)], ids=str)
def test_first_rows_have_the_gradient_of_a_pass_of_their_own(
    net: str, bayesian: bool, parts: slice
) -> None:
    model = network(net=net, bayesian=bayesian)
    own, others = model.beside(rows(), COUNT)
    expected, rest = model(rows()[:COUNT]), model(rows()[COUNT:])
    torch.testing.assert_close(values(own, others), values(expected, rest), rtol=1e-13, atol=1e-13)
    assert not any(value.requires_grad for value in values(others))
    if kept := values(own)[parts]:  # a mean or a variance alone, or both
        found = gradients(kept, model)
        of_pass = gradients(values(expected)[parts], model)
        for one, other in zip(found, of_pass, strict=True):
            if other is None:
                assert one is None or not one.any()
            else:
                torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def double(*told: Any) -> Any:
    """A hook: twice the output."""
    return 2 * told[-1]


CHANGES: dict[str, Callable[[GaussianNetwork], object]] = {
    "activation": lambda model: model.layers.__setitem__(2, nn.ReLU()),
    "hook of a layer": lambda model: model.layers[1].register_forward_hook(double),
    "hook of all layers": lambda model: model.layers.register_forward_hook(double),
    "hook before a layer": lambda model: model.last.register_forward_pre_hook(
        lambda _, given: (2 * given[0],)
    ),
    "hook of the way back": lambda model: model.layers[3].register_full_backward_hook(
        lambda _, of_inputs, __: (2 * of_inputs[0],)
    ),
    "pruned": lambda model: prune.l1_unstructured(model.layers[1], "weight", 0.5),  # type: ignore[no-untyped-call]  # torch's
    "no bias": lambda model: model.layers[1].register_parameter("bias", None),
    "no bias at the end": lambda model: model.last.register_parameter("bias", None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_network_that_was_changed_is_called_as_it_is(change: str) -> None:
    model = network()
    CHANGES[change](model)
    with torch.no_grad():
        for own in model.layers[1].parameters():
            own.mul_(1.5)  # so that a pruned weight has to be made anew
    first, others = model.beside(rows(), COUNT)
    found = gradients(values(first), model)
    expected = model(rows()[:COUNT]), model(rows()[COUNT:])
    torch.testing.assert_close(values(first, others), values(*expected), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(found, gradients(values(expected[0]), model))


def test_one_pass_has_the_gradient_of_finite_differences() -> None:
    model = network()

    def own(*_: Tensor) -> tuple[Tensor, ...]:
        return tuple(values(model.beside(rows(), COUNT)[0]))

    assert torch.autograd.gradcheck(own, tuple(model.parameters()))


@pytest.mark.parametrize("first", [COUNT, R], ids=["with others", "alone"])
def test_dropout_falls_on_all_rows_as_in_a_pass(first: int) -> None:
    model = network(dropout=0.5)
    torch.manual_seed(3)
    own, others = model.beside(rows(), first)
    torch.manual_seed(3)
    expected = model(rows())
    for one, two, whole in zip(values(own), values(others), values(expected), strict=True):
        torch.testing.assert_close(torch.cat([one, two]), whole, rtol=1e-13, atol=1e-13)


def test_under_autocast_the_pass_is_autocasts() -> None:
    model = network().float()
    given = rows().float()
    with torch.autocast("cpu", torch.bfloat16):
        own, others = model.beside(given, COUNT)
        expected = model(given[:COUNT])
    assert own.mean.dtype == torch.bfloat16
    assert torch.equal(own.mean, expected.mean)
    found, of_pass = (gradients(values(which), model) for which in (own, expected))
    for one, other in zip(found, of_pass, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other)
    assert not any(value.requires_grad for value in values(others))


def test_rows_with_a_gradient_keep_it() -> None:
    model, given = network(), rows().requires_grad_()
    own, _ = model.beside(given, COUNT)
    (found,) = torch.autograd.grad(own.mean.sum(), given)
    assert found[:COUNT].any()
    assert not found[COUNT:].any()


def test_frozen_layers_stay_so() -> None:
    model = network()
    model.layers[1].requires_grad_(False)
    own, _ = model.beside(rows(), COUNT)
    sum(value.sum() for value in values(own)).backward()  # type: ignore[union-attr]  # a tensor
    assert all((p.grad is None) != p.requires_grad for p in model.parameters())
