"""Steps of an optimizer that it knows nothing of."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def step_by_copy(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    values: Sequence[Tensor],
    gradients: Sequence[Tensor],
) -> None:
    """Moves some parameters by a step of a copy of an optimizer; its gradients and state stay.

    Args:
        optimizer: Of these parameters and others.
        parameters: Those that are moved.
        values: Of these, where the step begins.
        gradients: Of these.
    """
    grads = [(p, p.grad) for group in optimizer.param_groups for p in group["params"]]
    try:
        for p, _ in grads:
            p.grad = None
        for p, value, gradient in zip(parameters, values, gradients, strict=True):
            p.copy_(value)
            p.grad = gradient
        shadow = _shadow(optimizer, parameters)
        type(shadow).step(shadow)
    finally:
        for p, grad in grads:
            p.grad = grad


def _shadow(
    optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter]
) -> torch.optim.Optimizer:
    """An optimizer over the same parameters with a copy of the state of some of them."""
    shadow: torch.optim.Optimizer = object.__new__(type(optimizer))
    hooks = {name: type(value)() for name, value in vars(optimizer).items() if "_hooks" in name}
    shadow.__dict__ |= {k: v for k, v in vars(optimizer).items() if k != "step"} | hooks
    shadow.param_groups = [_copied(group) for group in optimizer.param_groups]
    shadow.state = type(optimizer.state)(dict)
    shadow.state |= {p: _copied(optimizer.state[p]) for p in parameters if p in optimizer.state}
    return shadow


def _copied(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.clone() if isinstance(v, Tensor) else v for k, v in entries.items()}
