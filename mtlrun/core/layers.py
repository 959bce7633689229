"""What follows of tasks' gradients of a layer's parameters from its inputs and its output's gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from mtlrun.core.distributed import concatenated, num_processes

# Rows are multiplied in blocks of this many, large enough for matrix products at full speed.
_ROWS_A_BLOCK = 128


@dataclass(frozen=True)
class LayerCall:
    """The one call of a linear or convolution layer in a forward pass: its input and its output's place."""

    module: nn.Linear | nn.Conv1d | nn.Conv2d
    inputs: Tensor
    output: GradientEdge


def layer_gramian(
    call: LayerCall, gradients: Sequence[Tensor], *, bias: bool, gathered: bool = False
) -> Tensor:
    """Inner products of a layer's parameter gradients, which are not formed.

    A layer that maps rows x of inputs X [N, D] has the gradient Y_i^T X, with Y_i [N, C] task i's
    gradient of its outputs. So <Y_i^T X, Y_j^T X> = <Y_i, (X X^T) Y_j>. The rows of a convolution
    are its patches; each of its Q groups of channels is a layer of its own.

    Args:
        call: A linear or convolution layer's.
        gradients: Of its output, one a task.
        bias: Whether the bias counts.
        gathered: Whether the gradients are means over the processes: then N counts all rows.

    Returns:
        [T, T] float64.
    """
    rows = input_rows(call.module, call.inputs).to(call.module.weight.dtype)  # [Q, N, D]
    outputs = [output_rows(call.module, g).to(rows.dtype) for g in gradients]  # [Q, N, C]
    if gathered:
        rows = concatenated(rows, dim=1)
        scaled = torch.stack(outputs) / num_processes()
        outputs = list(concatenated(scaled, dim=2))
    num_tasks = len(outputs)
    total = torch.zeros(num_tasks, num_tasks, dtype=torch.float64, device=rows.device)
    for q, group in enumerate(rows):
        blocks = torch.split(group, _ROWS_A_BLOCK)
        parts = zip(*(torch.split(o[q], _ROWS_A_BLOCK) for o in outputs), strict=True)
        stacks = [torch.stack(part) for part in parts]  # [T, n, C]
        for a, stack in enumerate(stacks):
            for b in range(a, len(stacks)):  # X X^T is symmetric
                mapped = (blocks[a] @ blocks[b].T) @ stacks[b]
                products = inner_products(stack.flatten(1), mapped.flatten(1))
                total += products if a == b else products + products.T
    if bias:
        total += inner_products(torch.stack([output.sum(1).flatten() for output in outputs]))
    return total


def layer_gradient(call: LayerCall, gradient: Tensor) -> dict[str, Tensor]:
    """Gradients of a layer's parameters, by their names in it, that follow from its output's.

    Args:
        call: A linear or convolution layer's.
        gradient: Of its output.
    """
    module = call.module
    rows = input_rows(module, call.inputs).to(module.weight.dtype)
    outputs = output_rows(module, gradient).to(rows.dtype)
    found = {"weight": (outputs.mT @ rows).view_as(module.weight)}
    if module.bias is not None:
        found["bias"] = outputs.sum(1).flatten()
    return found


def layer_is_cheaper_unformed(
    num_tasks: int, num_rows: int, num_inputs: int, num_outputs: int, summed: bool = False
) -> bool:
    """Whether `layer_gramian` multiplies less than forming T gradients and their inner products.

    Args:
        num_tasks: T.
        num_rows: N, examples times positions.
        num_inputs: D, of a row, in one group of channels.
        num_outputs: C, in one group of channels.
        summed: Whether a weighted sum of the gradients follows.
    """
    formed = num_tasks * num_inputs * num_outputs * (num_rows + num_tasks + summed)
    unformed = num_rows**2 * (num_inputs + num_tasks * num_outputs)
    unformed += num_tasks * num_rows * num_outputs * (num_tasks + summed)
    return unformed + summed * num_rows * num_inputs * num_outputs < formed


def is_better_unformed(
    num_tasks: int, summed: bool, module: Any, inputs: Tensor, output: Tensor
) -> bool:
    """`layer_is_cheaper_unformed` of a call of a layer."""
    channels = module.weight.shape[0]
    return layer_is_cheaper_unformed(
        num_tasks,
        output.numel() // channels * num_processes(),
        module.weight[0].numel(),
        channels // getattr(module, "groups", 1),
        summed,
    )


class LayerRecorder:
    """Keeps, while it is entered, the calls of linear and convolution layers.

    Only of those that are called once and whose parameters, a weight and maybe a bias, are all trained
    and no other module's.

    Args:
        model: Its layers are watched.
        parameters: The trained ones.
        wanted: Of a layer, its input and its output, whether to keep the call.
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: Sequence[nn.Parameter],
        wanted: Callable[[Any, Tensor, Tensor], bool],
    ) -> None:
        trained = {id(p) for p in parameters}
        uses: dict[int, int] = {}
        for module in model.modules():
            for p in module._parameters.values():
                uses[id(p)] = uses.get(id(p), 0) + 1
        self._wanted = wanted
        self._calls: dict[nn.Module, LayerCall | None] = {}
        self._modules = [
            module
            for module in model.modules()
            if type(module) in (nn.Linear, nn.Conv1d, nn.Conv2d)
            and {"weight"} <= dict(module.named_parameters()).keys() <= {"weight", "bias"}
            and all(id(p) in trained and uses[id(p)] == 1 for p in module.parameters())
            and not isinstance(getattr(module, "padding", 0), str)
            and getattr(module, "padding_mode", "zeros") == "zeros"
        ]

    def __enter__(self) -> None:
        self._handles = [m.register_forward_hook(self._record) for m in self._modules]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _record(self, module: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        called_before = module in self._calls
        self._calls[module] = None
        if called_before or len(inputs) != 1 or output.grad_fn is None:
            return
        if self._wanted(module, inputs[0], output):
            call = LayerCall(module, inputs[0].detach(), get_gradient_edge(output))
            self._calls[module] = call

    def calls(self) -> list[LayerCall]:
        """Of the layers that were called once."""
        return [call for call in self._calls.values() if call is not None]


def inner_products(rows: Tensor, others: Tensor | None = None) -> Tensor:
    """[T, T] float64 of vectors [T, P], with themselves or with others."""
    return (rows @ (rows if others is None else others).T).double()


def input_rows(module: nn.Linear | nn.Conv1d | nn.Conv2d, inputs: Tensor) -> Tensor:
    """[Q, N, D] the vectors that the layer's weight is applied to, by group of channels."""
    if isinstance(module, nn.Linear):
        return inputs.reshape(1, -1, inputs.shape[-1])
    assert not isinstance(module.padding, str)
    kernel, stride = tuple(module.kernel_size), tuple(module.stride)
    padding, dilation = tuple(module.padding), tuple(module.dilation)
    if isinstance(module, nn.Conv1d):  # an image of height 1
        inputs = inputs.unsqueeze(-2)
        kernel, stride, padding, dilation = (
            (1, *kernel),
            (1, *stride),
            (0, *padding),
            (1, *dilation),
        )
    if inputs.dim() == 3:
        inputs = inputs.unsqueeze(0)
    patches = F.unfold(inputs, kernel, dilation, padding, stride)  # [B, Q * D, L]
    return _by_group(patches, module.groups)


def output_rows(module: nn.Linear | nn.Conv1d | nn.Conv2d, gradient: Tensor) -> Tensor:
    """[Q, N, C] the gradients of the layer's output vectors, in the order of `input_rows`."""
    if isinstance(module, nn.Linear):
        return gradient.reshape(1, -1, gradient.shape[-1])
    if gradient.dim() == len(module.kernel_size) + 1:  # one example without a batch
        gradient = gradient.unsqueeze(0)
    return _by_group(gradient.flatten(2), module.groups)


def _by_group(channels: Tensor, num_groups: int) -> Tensor:
    """[Q, B * L, C / Q] from [B, C, L]."""
    batch, width, length = channels.shape
    grouped = channels.reshape(batch, num_groups, width // num_groups, length)
    return grouped.permute(1, 0, 3, 2).flatten(1, 2)
