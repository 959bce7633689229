"""One step of the joint rule by every kind of weighting."""

import copy
from collections.abc import Iterable
from functools import partial
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from mtlrun._catalogue import options
from mtlrun.core.batch import Batch
from mtlrun.core.method import DivergedError, StepSettings, TrainingPoint
from mtlrun.core.model import MultiTaskModel
from mtlrun.core.weighting import (
    GradientAggregation,
    GradOn,
    GramianWeighting,
    LossWeighting,
    Weighting,
)
from mtlrun.updates.joint import Joint
from mtlrun.weightings.famo import FAMO
from mtlrun.weightings.gradnorm import GradNorm
from mtlrun.weightings.nash_mtl import NashMTL
from mtlrun.weightings.pcgrad import PCGrad
from mtlrun.weightings.uw import UW
from tests.affinities.models import losses_of, noisy_point
from tests.weightings.oracles import built

WEIGHTS = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)


class Losses(LossWeighting):
    def weights(self, losses: Tensor) -> Tensor:
        return WEIGHTS


class Gramian(GramianWeighting):
    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        self.seen = gramian
        return WEIGHTS


class Weighed(Gramian):
    def head_weights(self, weights: Tensor) -> Tensor:
        return weights


class Rows(GradientAggregation):
    def aggregate(self, rows: Iterable[Tensor]) -> Tensor:
        self.seen = torch.stack([row.clone() for row in rows])
        return WEIGHTS @ self.seen

    def feature_weights(self, gradients: Tensor) -> Tensor:
        self.seen = gradients
        return WEIGHTS[:, None].expand_as(gradients)


def rule_at(point: TrainingPoint, weighting: Weighting, **settings: Any) -> Joint:
    rule = Joint(weighting)
    make = partial(torch.optim.SGD, lr=point.learning_rate)
    rule.setup(point.model, point.tasks, make, StepSettings(**settings))
    return rule


def expected_gradients(point: TrainingPoint) -> tuple[Tensor, list[list[Tensor]]]:
    """[T, P] of the shared parameters, and each task's of its own, by whole backward passes."""
    model, losses = point.model, losses_of(point.model, point.batch)
    shared = model.shared_parameters()
    rows, heads = [], []
    for task, loss in zip(point.tasks, losses, strict=True):
        own = model.task_parameters(task.name)
        found = torch.autograd.grad(loss, [*shared, *own], retain_graph=True)
        rows.append(torch.cat([part.reshape(-1) for part in found[: len(shared)]]))
        heads.append(list(found[len(shared) :]))
    return torch.stack(rows), heads


def shared_gradient(model: MultiTaskModel) -> Tensor:
    found = [p.grad for p in model.shared_parameters()]
    return torch.cat([part.reshape(-1) for part in found if part is not None])


@pytest.mark.parametrize(
    "weighting",
    [
        Losses(),
        *(kind(grad_on=on) for kind in (Gramian, Weighed) for on in get_args(GradOn)),
        Rows(),
        Rows(grad_on="features"),
    ],
    ids=lambda w: f"{type(w).__name__} {getattr(w, 'grad_on', '')}",
)
def test_the_shared_gradient_is_the_weighted_sum_and_heads_follow_their_kind(
    weighting: Weighting,
) -> None:
    point = noisy_point(dropout=0.0)
    rows, heads = expected_gradients(point)
    before = torch.cat([p.detach().reshape(-1) for p in point.model.shared_parameters()])
    output = rule_at(point, weighting).step(point.batch)
    torch.testing.assert_close(shared_gradient(point.model), WEIGHTS @ rows, rtol=0, atol=1e-12)
    after = torch.cat([p.detach().reshape(-1) for p in point.model.shared_parameters()])
    torch.testing.assert_close(after, before - point.learning_rate * (WEIGHTS @ rows))
    factors = WEIGHTS if isinstance(weighting, Losses | Weighed) else torch.ones(3)
    for task, factor, own in zip(point.tasks, factors, heads, strict=True):
        found = [p.grad for p in point.model.task_parameters(task.name)]
        torch.testing.assert_close(found, [factor * part for part in own], rtol=0, atol=1e-12)
    assert list(output.losses) == [task.name for task in point.tasks]


def test_the_gramian_is_of_the_gradients_that_were_asked_for() -> None:
    point = noisy_point(dropout=0.0)
    rows, _ = expected_gradients(point)
    model, batch = point.model, point.batch
    features = model.encode(batch.inputs, [])
    predictions = model.decode(features, [task.name for task in point.tasks])
    losses = [t.loss(predictions[t.name], batch.targets[t.name]) for t in point.tasks]
    last = model.last_shared_layer()
    expected = {"parameters": rows}
    for name, places in (("features", [features]), ("last_layer", list(last.parameters()))):
        found = [torch.autograd.grad(loss, places, retain_graph=True) for loss in losses]
        expected[name] = torch.stack([torch.cat([p.reshape(-1) for p in row]) for row in found])
    assert isinstance(last, nn.Linear)
    for name, gradients in expected.items():
        weighting = Gramian(grad_on=name)  # type: ignore[arg-type]  # the names of the choices
        rule_at(copy.deepcopy(point), weighting).step(batch)
        torch.testing.assert_close(weighting.seen, gradients @ gradients.T, rtol=0, atol=1e-12)


def test_an_aggregation_of_features_sees_signed_sums_over_the_examples() -> None:
    point, weighting = noisy_point(dropout=0.0), Rows(grad_on="features")
    features = point.model.encode(point.batch.inputs, [])
    predictions = point.model.decode(features, [task.name for task in point.tasks])
    rows = []
    for t in point.tasks:
        loss = t.loss(predictions[t.name], point.batch.targets[t.name])
        (gradient,) = torch.autograd.grad(loss, features, retain_graph=True)
        rows.append((features.sign() * gradient).sum(0))
    rule_at(point, weighting).step(point.batch)
    torch.testing.assert_close(weighting.seen, torch.stack(rows).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("weighting", [UW, NashMTL, GradNorm])
def test_clipping_bounds_the_norm_of_all_gradients_together(weighting: Any) -> None:
    point = noisy_point()
    rule = rule_at(point, weighting(), clip_norm=1e-3)
    rule.step(point.batch)
    grads = [p.grad for p in rule.trained_parameters() if p.grad is not None]
    assert float(nn.utils.get_total_norm(grads)) <= 1e-3 * (1 + 1e-5)


class Spoiled(torch.autograd.Function):
    """The identity, with a gradient that is not finite."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * float("inf")


@pytest.mark.parametrize(
    "weighting",
    [
        Gramian(),
        Gramian(grad_on="features"),
        Gramian(grad_on="last_layer"),
        Rows(),
        Rows(grad_on="features"),
    ],
    ids=lambda w: f"{type(w).__name__} {w.grad_on}",
)
def test_a_gradient_that_is_not_finite_is_named_before_it_is_combined(weighting: Any) -> None:
    point = noisy_point()
    decode = point.model.decode

    def spoiled(features: Any, tasks: Any) -> Any:
        return decode(Spoiled.apply(features) if "t1" in tasks else features, tasks)

    point.model.decode = spoiled  # type: ignore[method-assign]  # one task's features
    before = [p.detach().clone() for p in point.model.parameters()]
    with pytest.raises(DivergedError, match="task `t1` should be finite before"):
        rule_at(point, weighting).step(point.batch)
    assert not hasattr(weighting, "seen") or weighting.grad_on == "parameters"
    assert all(map(torch.equal, before, point.model.parameters()))


def test_the_second_look_has_the_same_masks_and_leaves_statistics_alone() -> None:
    looked, plain = noisy_point(), noisy_point()
    seen = []

    class Looking(FAMO):
        def losses_after(self, before: Tensor, after: Tensor) -> None:
            seen.append((before, after))

    rule, other = rule_at(looked, Looking()), rule_at(plain, FAMO())
    rule.optimizers[0].param_groups[0]["lr"] = other.optimizers[0].param_groups[0]["lr"] = 0.0
    torch.manual_seed(5)
    rule.step(looked.batch)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    losses_of(plain.model, plain.batch)
    assert torch.equal(torch.get_rng_state(), state)
    for one, two in zip(looked.model.buffers(), plain.model.buffers(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-14)
    ((before, after),) = seen
    torch.testing.assert_close(before, after, rtol=1e-12, atol=0)


def test_the_weights_are_logged_unless_they_never_change() -> None:
    point = noisy_point()
    logged = rule_at(point, PCGrad()).step(point.batch).scalars
    assert set(logged) == {"gradient_norm", "weight/t0", "weight/t1", "weight/t2"}


@pytest.mark.parametrize("name", options("weighting"))
def test_mixed_precision_moves_as_full_precision_does(name: str) -> None:
    moves = []
    for precision in ("fp32", "bf16"):
        point = noisy_point(dropout=0.0)
        point.model.float()
        batch = Batch(
            point.batch.inputs.float(), {k: v.float() for k, v in point.batch.targets.items()}
        )
        before = torch.cat([p.detach().reshape(-1) for p in point.model.shared_parameters()])
        rule = rule_at(point, built(name), precision=precision)
        rule.step(batch)
        rule.step(batch)
        after = torch.cat([p.detach().reshape(-1) for p in point.model.shared_parameters()])
        assert after.dtype == torch.float32
        assert after.isfinite().all()
        moves.append(after - before)
    full, mixed = moves
    cosine = torch.nn.functional.cosine_similarity(full, mixed, dim=0)
    assert float(cosine) > 0.98, float(cosine)
