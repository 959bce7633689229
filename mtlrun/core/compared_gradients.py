"""Tasks' gradients that are first compared and then summed up."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtlrun.core.distributed import average_
from mtlrun.core.gradients import (
    Gradient,
    SharedPass,
    partly_formed_gradients,
    partly_formed_gramian,
)
from mtlrun.core.layers import layer_gradient


class ComparedGradients:
    """The tasks' gradients of the shared parameters: their inner products, and a weighted sum of them.

    Nothing is walked back for the sum. Gradients are linear in those of a layer's output: a layer whose
    gradients are unformed, as for `gramian`, forms that of the sum alone; the others are added up.

    Args:
        forward: A pass whose graph is still there; afterwards it is freed, but for what
            `all_tasks_gradients` keeps of it.

    Attributes:
        gramian: [T, T] float64, symmetric, averaged over the processes.
    """

    def __init__(self, forward: SharedPass) -> None:
        self._parameters, self._calls = forward.parameters, forward.layers
        self._found = partly_formed_gradients(forward, self._calls)
        self.gramian = partly_formed_gramian(self._found, self._calls)

    def weighted(self, weights: Tensor) -> Gradient:
        """The gradient of a weighted sum of the losses, once: memory is given back while it is added up.

        Args:
            weights: [T].

        Returns:
            One tensor a shared parameter, averaged over the processes.
        """
        found = self._found
        assert len(found.outputs) == len(self._calls), "a second sum"
        factors = weights.unbind()
        sums: dict[int, Tensor] = {}
        for p in reversed(found.parameters):
            total = _weighted_sum(factors, [row.pop() for row in found.rows], p.dtype)
            assert total is not None
            sums[id(p)] = total
        unformed: dict[int, Tensor] = {}
        for call in reversed(self._calls):
            total = _weighted_sum(factors, found.outputs.pop(), call.module.weight.dtype)
            own = dict(call.module.named_parameters())
            if total is None:
                gradients = {name: torch.zeros_like(p) for name, p in own.items()}
            else:
                gradients = layer_gradient(call, total)
            unformed |= {id(p): gradients[name] for name, p in own.items()}
        average_(list(unformed.values()))
        sums |= unformed
        return [sums[id(p)] for p in self._parameters]


def _weighted_sum(
    weights: Sequence[Tensor], parts: Sequence[Tensor | None], dtype: torch.dtype
) -> Tensor | None:
    """None of nothing."""
    total: Tensor | None = None
    for weight, part in zip(weights, parts, strict=True):
        if part is None:
            continue
        total = part.to(dtype) * weight if total is None else total.addcmul_(part, weight)
    return total
