"""Layers that answer for moved weights without the weights being moved.

A layer f is linear in its weights, so after a step f(x'; W + s G) = f(x'; W) + s f(x'; G). Where x' is the
batch's own input, f(x; G) is one sum to add. Where the training pass had few rows X, G = Y^T X is never formed:
f(x'; G) comes from the inner products of x' with X, which are as many more outputs of the same layer.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.hooks import RemovableHandle

from mtlrun.affinities._packed import convolution
from mtlrun.core.layers import LayerCall, input_rows, layer_is_cheaper_unformed, output_rows

# A sum reads and writes about as many numbers as a layer of this many inputs multiplies.
_FEWEST_INPUTS = 32

# A layer with this many times as many outputs as rows is hardly dearer for the rows' products.
_OUTPUTS_PER_ROW = 8


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


def has_few_rows(module: Any, inputs: Tensor, output: Tensor) -> bool:
    """Whether it pays to multiply a layer's inputs with the rows of the training pass.

    Args: As those of `is_input_layer`.
    """
    num_outputs = module.weight.shape[0]
    num_rows = output.numel() // num_outputs
    return (
        inputs.requires_grad
        and "forward" not in vars(module)
        and getattr(module, "groups", 1) == 1
        and num_rows * _OUTPUTS_PER_ROW <= num_outputs
    )


def is_unformed_input_layer(num_tasks: int, call: LayerCall) -> bool:
    """Whether the outputs for all tasks' gradients come cheaper from inner products of the rows."""
    if not isinstance(call.module, nn.Linear):
        return False
    num_outputs, width = call.module.weight.shape
    return layer_is_cheaper_unformed(num_tasks, call.inputs.numel() // width, width, num_outputs)


class StandIn(ABC):
    """Takes the place of a layer's forward until it is removed.

    Args:
        module: The layer.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._move: tuple[Sequence[int], float] | None = None
        self._own_forward = module.forward
        module.__dict__["forward"] = self._forward

    @abstractmethod
    def moved(self, inputs: Tensor, members: Sequence[int], step: float) -> Tensor:
        """The layer's output after a step by the sum of some tasks' gradients."""

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
        return self.moved(inputs, *self._move)


class InputLayer(StandIn):
    """A layer whose input never changes: its outputs are sums of kept ones.

    Images are kept with their channels last: what follows an input layer (batch norm, pooling) reads every
    number a few times, and is several times faster so on a CPU.

    Args:
        module: The layer.
        center: Its output where virtual updates begin.
        effects: By task, its output for the task's gradient in place of its parameters.
    """

    def __init__(self, module: nn.Module, center: Tensor, effects: Mapping[int, Tensor]) -> None:
        super().__init__(module)
        self._center = _channels_last(center)
        self._effects = {t: _channels_last(effect) for t, effect in effects.items()}
        self._origin: tuple[int, float] | None = None

    def moved(self, inputs: Tensor, members: Sequence[int], step: float) -> Tensor:
        first, *others = members
        if not others:
            return torch.add(self._center, self._effects[first], alpha=step)
        if self._origin != (first, step):
            self._base = torch.add(self._center, self._effects[first], alpha=step)
            self._origin = (first, step)
        output = torch.add(self._base, self._effects[others[0]], alpha=step)
        for t in others[1:]:
            output.add_(self._effects[t], alpha=step)
        return output


class FewRowsLayer(StandIn):
    """A layer whose weights' gradients Y^T X have few rows X: they are applied as X, then Y.

    Args:
        call: The layer's in the training pass.
        center: Its parameters, by name, where virtual updates begin.
        gradients: By task, of its output in the training pass.
    """

    def __init__(
        self, call: LayerCall, center: Mapping[str, Tensor], gradients: Mapping[int, Tensor]
    ) -> None:
        super().__init__(call.module)
        self._products = RowProducts(call, center)
        self._rows = {t: output_rows(call.module, g)[0] for t, g in gradients.items()}  # [N, C]

    def moved(self, inputs: Tensor, members: Sequence[int], step: float) -> Tensor:
        output, products = self._products(inputs)
        first, *others = members
        rows = self._rows[first]
        for t in others:
            rows = rows + self._rows[t]
        return self._products.applied(output, products, rows, step)


class RowProducts:
    """A layer with the rows of its training pass as further outputs.

    Args:
        call: The layer's in the training pass.
        center: Its parameters, by name.
    """

    def __init__(self, call: LayerCall, center: Mapping[str, Tensor]) -> None:
        self._module: Any = call.module
        weight = center["weight"]
        rows = input_rows(call.module, call.inputs)[0]  # [N, D]
        self._weight = torch.cat([weight, rows.view(-1, *weight.shape[1:])])
        self._bias = None
        if "bias" in center:  # an input of 1, in x' and in X
            self._bias = torch.cat([center["bias"], rows.new_ones(len(rows))])
        self._sizes = [len(weight), len(rows)]
        if isinstance(call.module, (nn.Conv1d, nn.Conv2d)):
            self._convolve = convolution(call.module, self._weight, self._bias, call.inputs)

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's output for x', and the inner products of x' with X in place of its channels."""
        if isinstance(self._module, nn.Linear):
            both = nn.functional.linear(inputs, self._weight, self._bias)
            output, products = torch.split(both, self._sizes, -1)
        else:
            both = self._convolve(inputs)
            output, products = torch.split(both, self._sizes, 1)
        return output, products

    def applied(self, output: Tensor, products: Tensor, rows: Tensor, step: float) -> Tensor:
        """The output after a step by Y^T X.

        Args:
            output: Without it.
            products: Of x' with X.
            rows: [N, C], Y.
            step: What the gradient is multiplied by.
        """
        if isinstance(self._module, nn.Linear):
            return torch.add(output, products @ rows, alpha=step)
        effect = (products.movedim(1, -1) @ rows).movedim(-1, 1)
        return torch.add(output, effect, alpha=step)


def formed_input_layer(
    call: LayerCall, center: dict[str, Tensor], gradients: Mapping[int, dict[str, Tensor]]
) -> InputLayer:
    """An input layer from its parameters' gradients, by task and name."""
    with torch.no_grad():
        output = functional_call(call.module, center, (call.inputs,))
        effects = {
            t: functional_call(call.module, gradient, (call.inputs,))
            for t, gradient in gradients.items()
        }
    return InputLayer(call.module, output, effects)


def unformed_input_layer(
    call: LayerCall, center: Mapping[str, Tensor], gradients: Mapping[int, Tensor]
) -> InputLayer:
    """An input layer from its output's gradients, by task."""
    products = RowProducts(call, center)
    with torch.no_grad():
        output = functional_call(call.module, dict(center), (call.inputs,))
        _, own = products(call.inputs)
        zeros = torch.zeros_like(output)
        effects = {
            t: products.applied(zeros, own, output_rows(call.module, g)[0], 1.0)
            for t, g in gradients.items()
        }
    return InputLayer(call.module, output, effects)


def channels_first(model: nn.Module) -> list[RemovableHandle]:
    """Has every 2-d convolution read its input with the channels first, wherever it comes from.

    With its channels last, a convolution with more weights than inputs is half as fast on a CPU.
    """

    def put_first(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(x.contiguous() for x in inputs)

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return [layer.register_forward_pre_hook(put_first) for layer in layers]


def _channels_last(output: Tensor) -> Tensor:
    if output.dim() != 4:
        return output.contiguous()
    return output.contiguous(memory_format=torch.channels_last)
