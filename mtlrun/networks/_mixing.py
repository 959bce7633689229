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

    def __init__(self, tasks: Sequence[TaskName], *, kind: MixingKind) -> None:
        super().__init__()
        self.kind, self.tasks = kind, tuple(tasks)
        others = len(tasks) - 1
        if kind == "mean":
            self.register_buffer("equal", torch.full((others,), 1 / others), persistent=False)
            self.logits = nn.ParameterDict()
        else:
            self.logits = nn.ParameterDict({task: torch.zeros(others) for task in tasks})

    def forward(self, tasks: Sequence[TaskName], temperature: float) -> Tensor:
        """[K, T - 1] weights of the others, in the order of all tasks, for K tasks."""
        if self.kind == "mean":
            equal: Tensor = self.equal  # type: ignore[assignment]  # a buffer
            return equal.expand(len(tasks), -1)
        logits = torch.stack([self.logits[task] for task in tasks])
        if self.kind == "learnable":
            return logits.softmax(-1)
        return F.gumbel_softmax(logits, tau=temperature)

    def expected(self) -> Mapping[TaskName, Mapping[TaskName, float]]:
        """The weights without draws, by task and other task."""
        found = {}
        for task in self.tasks:
            others = [name for name in self.tasks if name != task]
            shares = (
                self(self.tasks[:1], 1.0)[0]
                if self.kind == "mean"
                else self.logits[task].softmax(-1)
            )
            found[task] = dict(zip(others, map(float, shares), strict=True))
        return found
