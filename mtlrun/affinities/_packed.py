"""A convolution whose weights are laid out once, for many passes with inputs of one shape."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Convolution = Callable[[Tensor], Tensor]


def convolution(
    module: nn.Conv1d | nn.Conv2d, weight: Tensor, bias: Tensor | None, inputs: Tensor
) -> Convolution:
    """The convolution of a module with other weights.

    oneDNN, which computes float32 images on a CPU, lays the weights out anew at every call; with many
    weights and few positions that takes as long as the convolution. Where torch has the operators with
    which its compiler does so once, they are used.

    Args:
        module: Tells stride, padding, dilation and groups.
        weight: [C, D, ...].
        bias: [C].
        inputs: Of the shape, type and place that all calls will have.
    """
    own: Any = module
    operators: Any = torch.ops.mkldnn
    if (
        isinstance(module, nn.Conv2d)
        and inputs.dim() == 4
        and inputs.device.type == "cpu"
        and inputs.dtype == weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch has no annotation
        and hasattr(operators, "_reorder_convolution_weight")
    ):
        layout = list(own.padding), list(own.stride), list(own.dilation), own.groups
        shape = list(inputs.shape)
        packed = operators._reorder_convolution_weight(weight.detach(), *layout, shape)

        nothing_fused: tuple[str, list[float], str] = "none", [], ""

        def convolve(x: Tensor) -> Tensor:
            if list(x.shape) != shape:
                found: Tensor = own._conv_forward(x, weight, bias)
                return found
            result: Tensor = operators._convolution_pointwise(
                x, packed, bias, *layout, *nothing_fused
            )
            return result

        return convolve
    return lambda x: own._conv_forward(x, weight, bias)
