"""A pass-through that multiplies gradients on their way back."""

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


class _ScaleGradient(torch.autograd.Function):
    """x -> x, whose gradient is multiplied by a number."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        """The values."""
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        """The gradient times the factor; none of the factor."""
        return ctx.factor * gradients[0], None


def scaled(features: Any, factor: float) -> Any:
    """The same values, whose gradients are multiplied on their way back.

    Args:
        features: A nest of tensors.
        factor: Of their gradients.
    """
    if factor == 1:
        return features

    def scale(leaf: Tensor) -> Tensor:
        found: Tensor = _ScaleGradient.apply(leaf, factor)
        return found

    return pytree.tree_map_only(Tensor, scale, features)
