"""How much of every other task goes into a task's prior."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mtlrun.core.batch import TaskName

MixingKind = Literal["gumbel", "learnable", "mean"]


class MixingWeights(nn.Module):
    """Weights of the T - 1 other tasks for each of T tasks: positive, with sum 1.

    Source: Jang et al., Categorical Reparameterization with Gumbel-Softmax, ICLR 2017,
    arXiv:1611.01144, Eq. 2, over the other tasks, as VMTL uses it.

    Args:
        tasks: T names, two at least.
        kind: "gumbel" for a Gumbel softmax of logits, drawn anew at every call; "learnable" for the
            softmax of logits; "mean" for 1 / (T - 1).
    """

    zeros: Tensor

    def __init__(self, tasks: Sequence[TaskName], *, kind: MixingKind) -> None:
        super().__init__()
        self.kind, self.tasks = kind, tuple(tasks)
        self.register_buffer("zeros", torch.zeros(len(tasks) - 1), persistent=False)
        learned = {} if kind == "mean" else {task: torch.zeros(len(tasks) - 1) for task in tasks}
        self.logits = nn.ParameterDict(learned)

    def forward(self, tasks: Sequence[TaskName], temperature: float) -> Tensor:
        """[K, T - 1] weights of the others, in the order of all tasks, for K tasks."""
        return drawn_together({"": self}, tasks, temperature)[""]

    def rows(self, tasks: Sequence[TaskName]) -> list[Tensor]:
        """Logits [T - 1] of each of some tasks."""
        return [self.zeros if self.kind == "mean" else self.logits[task] for task in tasks]

    def expected(self) -> Mapping[TaskName, Mapping[TaskName, float]]:
        """The weights without draws, by task and other task."""
        found = {}
        for task in self.tasks:
            others = [name for name in self.tasks if name != task]
            if self.kind == "mean":
                found[task] = dict.fromkeys(others, 1 / len(others))
            else:
                shares = self.logits[task].detach().softmax(-1).tolist()
                found[task] = dict(zip(others, shares, strict=True))
        return found


def drawn_together(
    mixings: Mapping[str, MixingWeights], tasks: Sequence[TaskName], temperature: float
) -> dict[str, Tensor]:
    """The weights [K, T - 1] of each of some mixings, all of one kind, in one operation."""
    if not mixings:
        return {}
    (kind,) = {own.kind for own in mixings.values()}
    logits = torch.stack([row for own in mixings.values() for row in own.rows(tasks)])
    found = F.gumbel_softmax(logits, tau=temperature) if kind == "gumbel" else logits.softmax(-1)
    return dict(zip(mixings, found.chunk(len(mixings)), strict=True))
