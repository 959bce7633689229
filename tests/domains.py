"""VMTL's networks in float64 on few small domains, and their steps."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import nn

from mtlrun.core.batch import Batch
from mtlrun.core.method import StepOutput, StepSettings
from mtlrun.data.multi_domain_toy import MultiDomainToy
from mtlrun.networks.class_bank import ClassBank
from mtlrun.networks.vmtl import VMTL
from mtlrun.updates.variational import Variational

ADAM = partial(torch.optim.Adam, lr=0.01)


def domains(**others: Any) -> MultiDomainToy:
    """Three domains of three classes, with four examples each in a batch."""
    settings = {"num_domains": 3, "num_classes": 3, "width": 6, "per_class": 4}
    return MultiDomainToy(**(settings | others))


def network(data: MultiDomainToy, **others: Any) -> VMTL:
    """In float64 and training mode, of few units, without dropout, on the data's tasks."""
    settings = {
        "latent": 5, "hidden": 7, "dropout": 0.0, "num_z": 2, "num_w": 2, "seed": 0,
    }  # fmt: skip
    bank = ClassBank.of(data, [task.name for task in data.tasks])
    model = VMTL(data.inputs.shape[0], data.tasks, bank, **(settings | others))
    return model.double().train()


def batch_of(data: MultiDomainToy, *, seed: int = 0) -> Batch:
    """A whole pass over the training split, in float64."""
    split = data.split("train")
    return split.fetch(range(len(split)), seed=seed).map(
        lambda values: values.double() if values.is_floating_point() else values
    )


class Steps:
    """A rule that trains a network on the data's passes.

    Args:
        data: The domains.
        model: The network.
        rule: Not set up yet.
        make: Of the optimizers.
        settings: Precision of forward passes.
    """

    def __init__(
        self,
        data: MultiDomainToy,
        model: VMTL,
        rule: Variational,
        make: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = ADAM,
        *,
        settings: StepSettings | None = None,
    ) -> None:
        self.data, self.model, self.rule = data, model, rule
        rule.setup(model, data.tasks, make, settings or StepSettings())

    def take(self, first: int, last: int) -> list[StepOutput]:
        """Steps `first` to `last` less 1."""
        found = []
        for step in range(first, last):
            batch = batch_of(self.data, seed=step).map(self._as_parameters)
            found.append(self.rule.step(batch))
        return found

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of all parameters."""
        return {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def _as_parameters(self, values: torch.Tensor) -> torch.Tensor:
        wanted = next(self.model.parameters()).dtype
        return values.to(wanted) if values.is_floating_point() else values
