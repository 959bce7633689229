"""Layers that read nothing but the inputs: their outputs after virtual updates, by sums."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from mtlrun.core.layers import LayerCall

# A sum reads and writes about as many numbers as a layer of this many inputs multiplies.
_FEWEST_INPUTS = 32


def is_input_layer(num_parameters: int, module: Any, inputs: Tensor, output: Tensor) -> bool:
    """Whether it pays to keep a layer's outputs for all tasks' gradients.

    Args:
        num_parameters: Of all shared parameters; kept outputs should take no more room than they.
        module: A linear or convolution layer.
        inputs: Of its call, with the graph that leads to them.
        output: Of its call.
    """
    return (
        not inputs.requires_grad
        and "forward" not in vars(module)
        and module.weight[0].numel() >= _FEWEST_INPUTS
        and output.numel() <= num_parameters
    )


class InputLayer:
    """Stands in for a layer f whose input x never changes: f(x; W + s G) = f(x; W) + s f(x; G).

    Args:
        call: The layer's, with its input.
        center: Its parameters, by name, where virtual updates begin.
        gradients: By task, by name, of its parameters.
    """

    def __init__(
        self,
        call: LayerCall,
        center: dict[str, Tensor],
        gradients: Mapping[int, dict[str, Tensor]],
    ) -> None:
        self._module, inputs = call.module, call.inputs
        with torch.no_grad():
            self._center = functional_call(self._module, center, (inputs,))
            self._effects = {
                t: functional_call(self._module, gradient, (inputs,))
                for t, gradient in gradients.items()
            }
        self._move: tuple[Sequence[int], float] | None = None
        self._origin: tuple[int, float] | None = None
        self._own_forward = self._module.forward
        self._module.__dict__["forward"] = self._forward

    def move(self, members: Sequence[int], step: float) -> None:
        """From now on, gives the outputs after a step by a sum of gradients."""
        self._move = members, step

    def rest(self) -> None:
        """From now on, is the layer itself."""
        self._move = None

    def remove(self) -> None:
        """Puts the layer back."""
        del self._module.__dict__["forward"]

    def _forward(self, inputs: Tensor) -> Any:
        if self._move is None:
            return self._own_forward(inputs)
        (first, *others), step = self._move
        if not others:
            return torch.add(self._center, self._effects[first], alpha=step)
        if self._origin != (first, step):
            self._base = torch.add(self._center, self._effects[first], alpha=step)
            self._origin = (first, step)
        output = torch.add(self._base, self._effects[others[0]], alpha=step)
        for t in others[1:]:
            output.add_(self._effects[t], alpha=step)
        return output
