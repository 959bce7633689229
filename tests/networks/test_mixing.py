"""Weights of the other tasks: frequencies, limits, and who is mixed."""

import pytest
import torch

from mtlrun.networks._mixing import MixingWeights, drawn_together

TASKS = ("a", "b", "c", "d")


def mixing(kind: str, logits: list[float] | None = None) -> MixingWeights:
    found = MixingWeights(TASKS, kind=kind).double()  # type: ignore[arg-type]  # by parametrization
    for own in found.logits.values():
        own.data = own.data if logits is None else torch.tensor(logits).double()
    return found


def drawn(own: MixingWeights, temperature: float, count: int = 40_000) -> torch.Tensor:
    """[count, 3] of the first task."""
    torch.manual_seed(0)
    return own(["a"] * count, temperature).detach()


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 10.0])
def test_the_largest_weight_is_as_frequent_as_the_softmax_says(temperature: float) -> None:
    logits = [1.0, 0.0, -0.7]
    shares = drawn(mixing("gumbel", logits), temperature)
    found = torch.bincount(shares.argmax(1), minlength=3) / len(shares)
    expected = torch.tensor(logits).softmax(0)
    assert ((found - expected).abs() < 4 * (expected * (1 - expected) / len(shares)).sqrt()).all()
    torch.testing.assert_close(shares.sum(1), torch.ones(len(shares)).double())
    assert (shares >= 0).all()


def test_high_temperatures_weigh_alike_and_low_ones_choose() -> None:
    own = mixing("gumbel", [1.0, 0.0, -0.7])
    torch.testing.assert_close(
        drawn(own, 1e6), torch.full((40_000, 3), 1 / 3, dtype=torch.float64), atol=1e-4, rtol=0
    )
    assert float(drawn(own, 1e-4).amax(1).mean()) > 0.999


def test_zero_logits_favour_none() -> None:
    shares = drawn(mixing("gumbel"), 0.5)
    error = shares.std(0) / len(shares) ** 0.5
    assert ((shares.mean(0) - 1 / 3).abs() < 4 * error).all()


def test_weights_without_draws_are_the_softmax_or_the_mean() -> None:
    learnable = mixing("learnable", [1.0, 0.0, -0.7])
    expected = torch.tensor([1.0, 0.0, -0.7]).double().softmax(0)
    for temperature in (0.5, 2.0):
        found = learnable(["c", "a"], temperature)
        torch.testing.assert_close(found, expected.expand(2, -1))
    torch.testing.assert_close(
        mixing("mean")(["b"], 1.0), torch.full((1, 3), 1 / 3, dtype=torch.float64)
    )
    assert not list(mixing("mean").parameters())


@pytest.mark.parametrize("kind", ["gumbel", "learnable", "mean"])
def test_the_own_task_is_not_mixed(kind: str) -> None:
    own = mixing(kind)
    told = own.expected()
    for task, shares in told.items():
        assert list(shares) == [other for other in TASKS if other != task]
        assert sum(shares.values()) == pytest.approx(1.0)
    assert own(TASKS, 1.0).shape == (4, 3)


def test_two_tasks_take_each_other_whole_whatever_is_drawn() -> None:
    own = MixingWeights(["a", "b"], kind="gumbel")
    assert torch.equal(own(["a", "b"], 0.5), torch.ones(2, 1))


@pytest.mark.parametrize("kind", ["gumbel", "learnable", "mean"])
def test_mixings_that_are_drawn_together_have_logits_and_draws_of_their_own(kind: str) -> None:
    first, second = mixing(kind, [9.0, 0.0, 0.0]), mixing(kind, [0.0, 0.0, 9.0])
    torch.manual_seed(0)
    found = drawn_together({"z": first, "w": second}, ["a", "c"], 0.5)
    assert list(found) == ["z", "w"]
    for name, own, place in (("z", first, 0), ("w", second, 2)):
        assert found[name].shape == (2, 3)
        if kind == "mean":
            assert torch.equal(found[name], own(["a", "c"], 0.5))
        else:
            assert (found[name].argmax(1) == place).all()
            leaves = [own.logits["a"], own.logits["c"]]
            of_own = torch.autograd.grad(found[name][:, place].sum(), leaves, retain_graph=True)
            assert all(gradient.any() for gradient in of_own)
    alike = torch.allclose(found["z"], found["w"].flip(1), rtol=1e-9, atol=0)
    assert alike == (kind != "gumbel")
    assert drawn_together({}, ["a"], 0.5) == {}
