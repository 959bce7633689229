"""Small models under selective updates, and the plain ways to compute what the rule computes."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mtlrun.core.batch import Batch
from mtlrun.core.method import StepSettings, TrainingPoint
from mtlrun.core.model import MultiTaskModel
from mtlrun.core.seeding import seeded
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.updates._groupings import Grouping, Static
from mtlrun.updates.selective import Selective
from tests.affinities.models import losses_of
from tests.toy import ToyBackbone, ToyData


def sgd(lr: float) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda parameters: torch.optim.SGD(parameters, lr=lr)


def adam(lr: float = 0.02) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda parameters: torch.optim.Adam(parameters, lr=lr, weight_decay=0.01)


def ready(
    model: MultiTaskModel,
    groups: Sequence[Sequence[int]] | Grouping,
    make_optimizer: Callable[[Any], torch.optim.Optimizer],
    **settings: Any,
) -> Selective:
    """The rule with given groups; groups step in their order, and a new value replaces the old."""
    order: Any = "forward"
    grouping: Any = groups
    if not isinstance(groups, Grouping):
        order = [model.tasks[k].name for group in groups for k in group]
        grouping = Static(groups)
    chosen = {"seed": 0, "order": order, "beta": 1.0, "warmup": 0} | settings
    rule = Selective(grouping, **chosen)
    rule.setup(model, model.tasks, make_optimizer, StepSettings())
    return rule


def taken(point: TrainingPoint, groups: Any, **settings: Any) -> tuple[Selective, list[Tensor]]:
    """One SGD step of the rule, and the losses [T] of each of its passes."""
    rule = ready(point.model, groups, sgd(point.learning_rate), **settings)
    passes = watch(rule)
    rule.step(point.batch)
    return rule, passes


def watch(rule: Selective) -> list[Tensor]:
    """A list that each pass's losses are added to."""
    passes: list[Tensor] = []
    original = rule._losses_for

    def watching(*arguments: Any) -> Tensor:
        losses = original(*arguments)
        passes.append(losses.detach().clone())
        return losses

    rule._losses_for = watching  # type: ignore[method-assign]
    return passes


def toy_model(*, dropout: float = 0.1, norm: str = "batch") -> HardSharing:
    data = ToyData()
    with seeded(0, "backbone"):
        backbone = ToyBackbone(data.inputs, dropout=dropout, norm=norm)
    return HardSharing(backbone, data.tasks, seed=0).train()


def toy_batch(step: int) -> Batch:
    split = ToyData().split("train")
    return split.fetch([(8 * step + k) % len(split) for k in range(8)], seed=step)


def stepped(
    point: TrainingPoint, group: Sequence[int], *, lr: float | None = None, heads: Sequence[int]
) -> list[float]:
    """Losses after a hand-made SGD step of the shared parameters on a group and of some heads."""
    model = copy.deepcopy(point.model)
    rate = point.learning_rate if lr is None else lr
    losses = losses_of(model, point.batch)
    names = [task.name for task in model.tasks]
    shared = model.shared_parameters()
    total = torch.stack([losses[k] for k in group]).sum()
    gradients = list(torch.autograd.grad(total, shared, retain_graph=True))
    moved = list(shared)
    for k in heads:
        own = model.task_parameters(names[k])
        gradients += torch.autograd.grad(losses[k], own, retain_graph=True)
        moved += own
    with torch.no_grad():
        for parameter, gradient in zip(moved, gradients, strict=True):
            parameter.sub_(rate * gradient)
        return [float(loss) for loss in losses_of(model, point.batch)]


def close(found: Any, expected: Any, digits: float = 1e-9) -> None:
    torch.testing.assert_close(
        torch.as_tensor(found, dtype=torch.float64),
        torch.as_tensor(expected, dtype=torch.float64),
        rtol=0,
        atol=digits,
    )
