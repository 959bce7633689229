"""Two levels: weights on training examples, architecture on held-out ones."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from mtlrun.core.batch import Batch
from mtlrun.core.method import MakeOptimizer, StepOutput, StepSettings, UpdateRule
from mtlrun.core.model import MultiTaskModel
from mtlrun.core.task import Task


@runtime_checkable
class SearchModel(Protocol):
    """A multi-task model that holds its architecture and the weights of its losses as parameters.

    Attributes:
        stage_passes: Modules of encoders that it has run, counted up by every forward pass.
        naive_stage_passes: Those that a pass of all tasks runs without sharing anything.
    """

    stage_passes: int
    naive_stage_passes: int

    def architecture(self) -> list[nn.Parameter]:
        """Moved on held-out examples."""
        ...

    def weight_parameters(self) -> list[nn.Parameter]:
        """Those of the architecture that the losses' weights are made of."""
        ...

    def loss_weights(self) -> Tensor:
        """[T], with the graph that leads to them."""
        ...


class Bilevel(UpdateRule):
    """Moves the architecture on a held-out batch, then the other parameters on a training batch.

    Source: Deep Safe Multi-Task Learning, Section 6, Eq. 8 (bilevel problem, first-order
    approximation); as in Liu et al., DARTS, ICLR 2019, arXiv:1806.09055, with xi = 0.
    Differs: order of the two steps, optimizer and rate of the architecture are not in the paper:
    the held-out batch comes first, and Adam has the rate and weight decay of its earlier program.

    The architecture is that of the last step, whatever `trainer.select` and `trainer.patience` say:
    evaluations of the search's model say little (see `BranchSearch`), and none chooses.

    Args:
        held_out_share: Of the training examples, which only the architecture sees.
        architecture_lr: Of the architecture's Adam; the schedule's factor applies to it too.
        architecture_decay: Its weight decay.
        weight_lr: The rate of the losses' weights in it; None for `architecture_lr`.

    Raises:
        ValueError: If the share does not lie between 0 and 1, or the rate is below 0.
    """

    takes_last = True

    def __init__(
        self,
        *,
        held_out_share: float = 0.2,
        architecture_lr: float = 1e-4,
        architecture_decay: float = 1e-5,
        weight_lr: float | None = None,
    ) -> None:
        if not 0 < held_out_share < 1:
            raise ValueError(
                f"`held_out_share` should lie between 0 and 1. Found `held_out_share = "
                f"{held_out_share}`. Set method.held_out_share."
            )
        if weight_lr is not None and weight_lr < 0:
            raise ValueError(
                f"`weight_lr` should be 0 or more. Found `weight_lr = {weight_lr}`. Set "
                f"method.weight_lr, or null for architecture_lr."
            )
        self.held_out_share = held_out_share
        self.architecture_lr, self.architecture_decay = architecture_lr, architecture_decay
        self.weight_lr = architecture_lr if weight_lr is None else weight_lr

    def setup(
        self,
        model: MultiTaskModel,
        tasks: Sequence[Task],
        make_optimizer: MakeOptimizer,
        settings: StepSettings,
    ) -> None:
        """Gives the architecture an optimizer of its own."""
        assert isinstance(model, SearchModel)
        self.search: SearchModel = model
        self.architecture = model.architecture()
        super().setup(model, tasks, make_optimizer, settings)
        weights = self.search.weight_parameters()
        own = {id(p) for p in weights}
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.architecture if id(p) not in own]},
            {"params": weights, "lr": self.weight_lr},
        ]
        self.optimizers.append(
            torch.optim.Adam(groups, lr=self.architecture_lr, weight_decay=self.architecture_decay)
        )

    def trained_parameters(self) -> list[nn.Parameter]:
        """All but the architecture."""
        upper = {id(p) for p in self.architecture}
        return [p for p in super().trained_parameters() if id(p) not in upper]

    def step(self, batch: Batch) -> StepOutput:
        """One step of each level."""
        if self.held_out is None:
            raise ValueError("A held-out batch should come with every step. Found none.")
        begin = self.search.stage_passes
        lower, upper = self.optimizers
        weights = self.trained_parameters()
        with _constant(weights):
            upper_losses = self._backward(self.held_out, self.architecture)
        self.move(upper)
        losses = self._backward(batch, weights)
        norm = self.move(lower)
        scalars: dict[str, Tensor | float] = {
            "gradient_norm": norm,
            "stage_passes": float(self.search.stage_passes - begin),
            "stage_passes_naive": 2.0 * self.search.naive_stage_passes,
        }
        shares = self.search.loss_weights().detach()
        for task, share, loss in zip(self.tasks, shares, upper_losses, strict=True):
            scalars[f"weight/{task.name}"] = share
            scalars[f"held_out/{task.name}/loss"] = loss
        return StepOutput(
            {task.name: loss for task, loss in zip(self.tasks, losses, strict=True)}, scalars
        )

    def _backward(self, batch: Batch, parameters: Sequence[nn.Parameter]) -> Tensor:
        """The losses [T], detached; the gradients of their weighted sum lie in the parameters."""
        losses = self.losses(batch)
        total = (self.search.loss_weights() * losses).sum()
        found = torch.autograd.grad(total, list(parameters), allow_unused=True)
        for parameter, gradient in zip(parameters, found, strict=True):
            parameter.grad = gradient
        return losses.detach()


@contextmanager
def _constant(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Takes parameters as constants: no graph is kept of what only they and the batch determine."""
    trained = [p for p in parameters if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
