"""The network of representations: one pass over examples and over what priors are made of."""

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


@pytest.mark.parametrize("change", ["activation", "hook", "hook of the whole", "pruned", "no bias"])
def test_a_network_that_was_changed_is_called_as_it_is(change: str) -> None:
    model, calls = network(), []
    if change == "activation":
        model.layers[2] = nn.ReLU()
    elif change == "pruned":
        prune.l1_unstructured(model.layers[1], "weight", 0.5)  # type: ignore[no-untyped-call]  # torch's
    elif change == "no bias":
        model.layers[1].register_parameter("bias", None)
    else:
        part = model if change == "hook of the whole" else model.layers[1]
        part.register_forward_hook(lambda *_: calls.append(1))
    own, others = model.beside(rows(), COUNT)
    assert len(calls) == (2 if "hook" in change else 0)
    expected = model(rows()[:COUNT]), model(rows()[COUNT:])
    torch.testing.assert_close(values(own, others), values(*expected), rtol=1e-13, atol=1e-13)


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
