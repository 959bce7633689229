"""Gates between a public and private encoders, in float64."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from mtlrun.core.batch import Batch
from mtlrun.core.data import InputSpec
from mtlrun.core.gradients import shared_pass, task_gradients
from mtlrun.core.model import task_losses
from mtlrun.core.seeding import seeded
from mtlrun.networks.dsmtl import DSMTL
from mtlrun.networks.gate import Gate, GateKind, mixed
from mtlrun.networks.hard_sharing import HardSharing
from tests.toy import NAMES, ToyBackbone, ToyData

TASKS = ToyData().tasks
KINDS: tuple[GateKind, ...] = ("clamp", "sigmoid", "softmax2", "hard")


def encoder(purpose: str) -> ToyBackbone:
    with seeded(0, purpose):
        return ToyBackbone(InputSpec("vector", (5,)), dropout=0.0)


def dsmtl(*, alike: bool = False, **settings: Any) -> DSMTL:
    private = {name: encoder("public" if alike else name) for name in NAMES}
    return DSMTL(encoder("public"), private, TASKS, seed=0, **settings).double()


def batch() -> Batch:
    found = ToyData().split("train").fetch(range(8), seed=0)
    return Batch(found.inputs.double(), {k: v.double() for k, v in found.targets.items()})  # type: ignore[union-attr]


def losses(model: Any, of: Batch) -> list[Tensor]:
    return task_losses(TASKS, model(of.inputs, NAMES), of.targets)


def alpha(model: DSMTL, name: str) -> Tensor:
    return model.gates[name].raw  # type: ignore[return-value]


def test_shared_and_task_parameters_are_all_without_overlap() -> None:
    for settings in ({}, {"gate": "softmax2"}, {"branch_points": {"a": 2, "b": 3}}):
        model = dsmtl(**settings)
        parts = [model.shared_parameters(), *(model.task_parameters(name) for name in NAMES)]
        found = [id(p) for part in parts for p in part]
        assert len(found) == len(set(found))
        assert set(found) == {id(p) for p in model.parameters()}


def test_the_gradient_of_alpha_is_the_inner_product_with_the_difference() -> None:
    model, of = dsmtl(), batch()
    for task in TASKS:
        features = model.encode(of.inputs, NAMES)
        representation = model.representation(features, task.name).detach().requires_grad_()
        loss = task.loss(model.heads[task.name](representation), of.targets[task.name])
        (at_r,) = torch.autograd.grad(loss, representation)
        difference = features["features"] - model.private[task.name](of.inputs)
        whole = task.loss(model(of.inputs, NAMES)[task.name], of.targets[task.name])
        (found,) = torch.autograd.grad(whole, alpha(model, task.name))
        torch.testing.assert_close(found, (at_r * difference).sum(), rtol=1e-12, atol=0)


def test_like_encoders_leave_alpha_without_gradient_and_effect() -> None:
    model, of = dsmtl(alike=True), batch()
    total = torch.stack(losses(model, of)).sum()
    found = torch.autograd.grad(total, [alpha(model, name) for name in NAMES])
    assert all(abs(float(gradient)) < 1e-15 for gradient in found)
    other = copy.deepcopy(model)
    with torch.no_grad():
        alpha(other, "a").fill_(0.125)
    torch.testing.assert_close(losses(other, of), losses(model, of), rtol=1e-14, atol=0)


def test_the_public_encoder_gets_zero_gradient_from_closed_gates() -> None:
    model = dsmtl(alpha_init=0.0)
    torch.stack(losses(model, batch())).sum().backward()
    assert not any(p.grad.any() for p in model.shared_parameters() if p.grad is not None)
    assert all(p.grad is not None and p.grad.isfinite() for p in [alpha(model, n) for n in NAMES])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.5, 0.125])
def test_a_gate_begins_where_it_is_told(kind: GateKind, share: float) -> None:
    gate = Gate(kind, alpha_init=share, learnable=True)
    assert float(gate.expected().detach()) == pytest.approx(share, rel=1e-6)
    assert Gate(kind, alpha_init=share, learnable=False).expected() == share


def test_a_hard_gate_is_0_or_1_and_has_a_gradient() -> None:
    gate = Gate("hard", alpha_init=0.5, learnable=True).train()
    torch.manual_seed(0)
    found = torch.stack([gate() for _ in range(40)])
    assert set(found.detach().round(decimals=5).tolist()) == {0.0, 1.0}
    found.sum().backward()  # type: ignore[no-untyped-call]  # torch's backward has no annotations
    assert gate.raw.grad is not None
    assert gate.raw.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["sigmoid", "softmax2", "hard"])
def test_a_gate_that_never_reaches_0_refuses_to_begin_there(kind: GateKind) -> None:
    with pytest.raises(ValueError, match="gate=clamp"):
        Gate(kind, alpha_init=0.0, learnable=True)
    assert Gate(kind, alpha_init=0.0, learnable=False)() == 0


def test_project_brings_a_clamp_gate_back() -> None:
    model = dsmtl()
    with torch.no_grad():
        alpha(model, "a").fill_(-0.25)
        alpha(model, "b").fill_(1.5)
    model.project()
    assert model.learned()["alpha"] == {"a": 0.0, "b": 1.0, "c": 0.5}


def test_nests_of_tensors_are_mixed_leaf_by_leaf() -> None:
    one, other = (torch.ones(2), [torch.zeros(3)]), (torch.zeros(2), [torch.ones(3)])
    first, (second,) = mixed(torch.tensor(0.25), one, other)
    assert first.tolist() == [0.25] * 2
    assert second.tolist() == [0.75] * 3


def test_an_early_gate_is_followed_by_private_modules() -> None:
    model, of = dsmtl(gate_position=1), batch()
    private = model.private["a"]
    assert isinstance(private, ToyBackbone)
    mean = (model.public.stages[0](of.inputs) + private.stages[0](of.inputs)) / 2
    expected = model.heads["a"](private.stages[1](mean))
    torch.testing.assert_close(model(of.inputs, ["a"])["a"], expected, rtol=1e-12, atol=0)
    assert not list(model.public.stages[1].parameters())


def test_an_early_gate_at_1_shares_the_modules_before_it_only() -> None:
    model, of = dsmtl(gate_position=1, alpha_init=1.0, learnable_gate=False), batch()
    private = model.private["a"]
    assert isinstance(private, ToyBackbone)
    expected = model.heads["a"](private.stages[1](model.public.stages[0](of.inputs)))
    torch.testing.assert_close(model(of.inputs, ["a"])["a"], expected, rtol=1e-12, atol=0)


def test_a_branch_point_past_the_last_module_is_hard_sharing() -> None:
    model, of = dsmtl(branch_points=dict.fromkeys(NAMES, 3)), batch()
    shared = HardSharing(encoder("public"), TASKS, seed=0).double()
    for name in NAMES:
        assert torch.equal(model(of.inputs, [name])[name], shared(of.inputs, [name])[name])
    assert model.learned()["alpha"] == dict.fromkeys(NAMES)


@pytest.mark.parametrize(
    ("branches", "modules"),
    [((1, 1, 1), (0, 1) * 3), ((3, 2, 1), (1, 0, 1)), ((3, 3, 3), ()), ((2, 2, 1), (1, 1, 0, 1))],
)
def test_only_used_modules_are_built(branches: Sequence[int], modules: Sequence[int]) -> None:
    sizes = [sum(p.numel() for p in stage.parameters()) for stage in encoder("public").stages]
    heads, open_gates = 3 * 9, sum(branch < 3 for branch in branches)
    model = dsmtl(branch_points=dict(zip(NAMES, branches, strict=True)))
    expected = sum(sizes) + sum(sizes[k] for k in modules) + heads + open_gates
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gate_position": 3}, "gate_position = 3"),
        ({"branch_points": {"a": 4}}, "task `a`"),
        ({"alpha_init": 1.5}, "alpha_init = 1.5"),
    ],
)
def test_positions_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dsmtl(**settings)


@pytest.mark.parametrize("gate_position", [None, 1])
def test_an_input_for_every_task_is_encoded_in_one_public_pass(gate_position: int | None) -> None:
    model, of = dsmtl(gate_position=gate_position).eval(), batch()
    assert isinstance(of.inputs, Tensor)
    parts = dict(zip(NAMES, of.inputs.split([2, 3, 3]), strict=True))
    found = model(parts, NAMES)
    for name in NAMES:
        expected = model(parts[name], [name])[name]
        torch.testing.assert_close(found[name], expected, rtol=1e-12, atol=0)


def test_gradients_of_the_shared_parameters_are_those_of_the_whole_pass() -> None:
    model, of = dsmtl(), batch()
    rows = task_gradients(shared_pass(model, TASKS, of))
    for row, loss in zip(rows, losses(model, of), strict=True):
        expected = torch.autograd.grad(loss, model.shared_parameters(), retain_graph=True)
        torch.testing.assert_close(row, list(expected), rtol=1e-9, atol=1e-12)
