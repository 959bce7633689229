"""Each task's gradient of the shared parameters, and the Gramian of these gradients, from one forward pass.

The pass is cut at the shared features. From the losses to the features every head is walked back
once, and it yields its parameters' gradients on the way; from the features to the shared parameters
there is one backward pass a task, and the graph is freed on the last.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.utils import _pytree as pytree

from mtlrun.core._backward import all_tasks_gradients, one_task_gradients, users_of_nodes
from mtlrun.core.batch import Batch, TaskName
from mtlrun.core.distributed import average_, num_processes
from mtlrun.core.layers import (
    LayerCall,
    LayerRecorder,
    inner_products,
    is_better_unformed,
    layer_gramian,
)
from mtlrun.core.model import Features, MultiTaskModel, task_losses
from mtlrun.core.seeding import RandomState
from mtlrun.core.task import Task

Gradient = list[Tensor]  # one tensor a parameter

# A backward pass of many tasks at once loses about this many reads of a layer's inputs.
_READS_OF_INPUTS = 2


@dataclass(frozen=True)
class SharedPass:
    """A forward pass of T tasks, cut at the shared features, with its graph.

    Attributes:
        parameters: The shared ones that are trained.
        losses: [T] detached, of this process's examples.
        features: The tensors that the heads read.
        feature_gradients: For each task its loss's gradient at `features`, None where it reads none.
        head_gradients: For each task those of its own parameters; empty if not asked for.
        random_states: T + 2 of them: before the encoder, before each head, and at the end.
        layers: Calls of linear and convolution layers whose gradients are better left unformed; empty
            if not asked for.
    """

    parameters: list[nn.Parameter]
    losses: Tensor
    features: list[Tensor]
    feature_gradients: list[list[Tensor | None]]
    head_gradients: list[Gradient]
    random_states: list[RandomState]
    layers: list[LayerCall] = field(default_factory=list)


def shared_pass(
    model: MultiTaskModel,
    tasks: Sequence[Task],
    batch: Batch,
    *,
    encoded: Sequence[TaskName] | None = None,
    autocast: AbstractContextManager[Any] | None = None,
    heads: bool = True,
    layers: bool = False,
    summed: bool = False,
) -> SharedPass:
    """One forward pass, walked back from each task's loss to the shared features.

    Stochastic layers draw once, so that all tasks see one mask.

    Args:
        model: In whatever mode it is.
        tasks: T tasks to decode.
        batch: Has targets for them.
        encoded: Names of the tasks whose inputs are encoded, if more than `tasks`.
        autocast: Context of the forward pass.
        heads: Whether the heads' gradients are wanted.
        layers: Whether gradients will be compared only, by `gramian` or `ComparedGradients`.
        summed: Whether they will also be summed up, by the latter.
    """
    parameters = [p for p in model.shared_parameters() if p.requires_grad]
    device = parameters[0].device if parameters else next(model.parameters()).device
    names = [task.name for task in tasks]
    wanted = partial(is_better_unformed, len(tasks), summed)
    recorder = LayerRecorder(model, parameters, wanted) if layers else None
    states = [RandomState.capture(device)]
    predictions: dict[TaskName, Any] = {}
    with torch.enable_grad():
        with autocast or nullcontext():
            with recorder or nullcontext():
                features, spec = pytree.tree_flatten(model.encode(batch.inputs, encoded or names))
            leaves = [_cut(feature) for feature in features]
            detached: Features = pytree.tree_unflatten(leaves, spec)
            for name in names:
                states.append(RandomState.capture(device))
                predictions |= model.decode(detached, [name])
        states.append(RandomState.capture(device))
        losses = task_losses(tasks, predictions, batch.targets)
    read = [k for k, leaf in enumerate(leaves) if _requires_grad(leaf)]
    feature_gradients: list[list[Tensor | None]] = []
    head_gradients: list[Gradient] = []
    for name, loss in zip(names, losses, strict=True):
        own = [p for p in model.task_parameters(name) if p.requires_grad] if heads else []
        found = one_task_gradients(
            [loss], [*(leaves[k] for k in read), *own], [torch.ones_like(loss)]
        )
        feature_gradients.append(found[: len(read)])
        if heads:
            gradient = _filled(found[len(read) :], own)
            average_(gradient)
            head_gradients.append(gradient)
    return SharedPass(
        parameters,
        torch.stack([loss.detach() for loss in losses]),
        [features[k] for k in read],
        feature_gradients,
        head_gradients,
        states,
        _used_once(recorder.calls(), features) if recorder else [],
    )


def task_gradients(forward: SharedPass, *, retain_graph: bool = False) -> list[Gradient]:
    """Each task's gradient of the shared parameters, averaged over the processes.

    Args:
        forward: A pass whose graph is still there.
        retain_graph: Whether it is needed afterwards.

    Returns:
        T lists of one tensor a parameter; zeros where the loss does not depend on it.
    """
    return list(each_task_gradient(forward, retain_graph=retain_graph))


def each_task_gradient(forward: SharedPass, *, retain_graph: bool = False) -> Iterator[Gradient]:
    """As `task_gradients`, one after another: a task's is made when it is asked for."""
    for t, gradients in enumerate(forward.feature_gradients):
        last = t == len(forward.feature_gradients) - 1
        found = one_task_gradients(
            forward.features, forward.parameters, gradients, retain_graph=retain_graph or not last
        )
        row = _filled(found, forward.parameters)
        average_(row)
        yield row


def weighted_gradient(
    forward: SharedPass, weights: Tensor, *, retain_graph: bool = False
) -> Gradient:
    """The shared parameters' gradient of a weighted sum of the losses, by one backward pass.

    Args:
        forward: A pass whose graph is still there.
        weights: [T].
        retain_graph: Whether it is needed afterwards.

    Returns:
        One tensor a parameter, averaged over the processes.
    """
    total: list[Tensor | None] = [None] * len(forward.features)
    for weight, gradients in zip(weights.unbind(), forward.feature_gradients, strict=True):
        for k, gradient in enumerate(gradients):
            if gradient is None:
                continue
            term = (weight * gradient).to(gradient.dtype)
            before = total[k]
            total[k] = term if before is None else before + term
    return features_gradient(forward, total, retain_graph=retain_graph)


def features_gradient(
    forward: SharedPass, gradients: Sequence[Tensor | None], *, retain_graph: bool = False
) -> Gradient:
    """The shared parameters' gradient that follows from gradients of the features.

    Args:
        forward: A pass whose graph is still there.
        gradients: One a feature, None for 0.
        retain_graph: Whether it is needed afterwards.

    Returns:
        One tensor a parameter, averaged over the processes.
    """
    found = one_task_gradients(
        forward.features, forward.parameters, gradients, retain_graph=retain_graph
    )
    combined = _filled(found, forward.parameters)
    average_(combined)
    return combined


def flattened(rows: Sequence[Gradient]) -> Tensor:
    """[T, P] from T lists of one gradient a parameter."""
    return torch.stack([torch.cat([part.reshape(-1) for part in row]) for row in rows])


def gramian(
    forward: SharedPass,
    *,
    parameters: Iterable[nn.Parameter] | None = None,
    retain_graph: bool = False,
) -> Tensor:
    """The inner products of the tasks' gradients of the shared parameters, averaged over the processes.

    Where the pass recorded its layers, the gradients of a linear or convolution layer are not
    formed if its inputs and its output's gradients tell their inner products at less cost; those of
    other parameters are. The rows of an unformed layer are gathered from all processes.

    Args:
        forward: A pass whose graph is still there.
        parameters: Those that count; all by default. Nothing is walked back further than to them.
        retain_graph: Whether it is needed afterwards, as for `weighted_gradient`.

    Returns:
        [T, T] float64, symmetric.
    """
    counted = {id(p) for p in (forward.parameters if parameters is None else parameters)}
    calls = [call for call in forward.layers if id(call.module.weight) in counted]
    found = partly_formed_gradients(forward, calls, parameters=counted, retain_graph=retain_graph)
    return partly_formed_gramian(found, calls, counted)


@dataclass(frozen=True)
class PartlyFormed:
    """Each task's gradient of the shared parameters, where those of some layers are not formed.

    Attributes:
        parameters: The others.
        rows: T lists of one gradient of each of these, averaged over the processes.
        outputs: For each layer, each task's gradient of its output, of this process's examples, None where the
            loss does not depend on it.
    """

    parameters: list[nn.Parameter]
    rows: list[Gradient]
    outputs: list[list[Tensor | None]]


def partly_formed_gradients(
    forward: SharedPass,
    calls: Sequence[LayerCall],
    *,
    parameters: Container[int] | None = None,
    retain_graph: bool = False,
) -> PartlyFormed:
    """Each task's gradient of the shared parameters, with those of some layers left unformed.

    Args:
        forward: A pass whose graph is still there.
        calls: Of these layers.
        parameters: `id`s of the parameters that are wanted; None for all.
        retain_graph: Whether it is needed afterwards.
    """
    ghosts = {id(p): 0 for call in calls for p in call.module.parameters()}
    for call in calls:
        weight = call.module.weight
        ghosts[id(weight)] = weight.numel() - _READS_OF_INPUTS * call.inputs.numel()
    wanted = [p for p in forward.parameters if parameters is None or id(p) in parameters]
    formed = [p for p in wanted if id(p) not in ghosts]
    found = all_tasks_gradients(
        forward.features,
        [*(call.output for call in calls), *formed],
        forward.feature_gradients,
        savings=ghosts,
        retain_graph=retain_graph,
    )
    rows = [_filled(row[len(calls) :], formed) for row in found]
    for row in rows:
        average_(row)
    return PartlyFormed(formed, rows, [[row[k] for row in found] for k in range(len(calls))])


def partly_formed_gramian(
    found: PartlyFormed, calls: Sequence[LayerCall], counted: Container[int] | None = None
) -> Tensor:
    """[T, T] float64 inner products of all gradients, averaged over the processes.

    Args:
        found: By `partly_formed_gradients`.
        calls: Of the same layers.
        counted: `id`s of the parameters that were wanted; None for all.
    """
    total = stored_gramian(found.rows)
    for call, outputs in zip(calls, found.outputs, strict=True):
        bias = call.module.bias
        has_bias = bias is not None and (counted is None or id(bias) in counted)
        own = outputs_gramian(call, outputs, bias=has_bias, gathered=num_processes() > 1)
        total = total.to(own.device) + own
    return total


def outputs_gramian(
    call: LayerCall, outputs: Sequence[Tensor | None], *, bias: bool, gathered: bool = False
) -> Tensor:
    """[T, T] float64 inner products of a layer's unformed gradients, as `layer_gramian`, 0 for None."""
    reached = [t for t, gradient in enumerate(outputs) if gradient is not None]
    own = torch.zeros(len(outputs), len(outputs), dtype=torch.float64, device=call.inputs.device)
    if reached:
        at = torch.tensor(reached, device=own.device)
        there = [gradient for gradient in outputs if gradient is not None]
        own[at[:, None], at] = layer_gramian(call, there, bias=bias, gathered=gathered)
    return own


def stored_gramian(rows: Sequence[Gradient]) -> Tensor:
    """[T, T] float64 inner products of T stored gradients, summed parameter by parameter."""
    device = rows[0][0].device if rows[0] else None
    total = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=device)
    for parts in zip(*rows, strict=True):
        total += inner_products(torch.stack([part.reshape(-1) for part in parts]))
    return total


def _filled(found: Sequence[Tensor | None], like: Sequence[Tensor]) -> Gradient:
    pairs = zip(found, like, strict=True)
    return [torch.zeros_like(p) if part is None else part.detach() for part, p in pairs]


def _used_once(calls: list[LayerCall], features: Sequence[Any]) -> list[LayerCall]:
    """Those whose weight goes nowhere else, not even as autocast's copy of it."""
    nodes = [f.grad_fn for f in features if isinstance(f, Tensor) and f.grad_fn is not None]
    users = users_of_nodes(nodes) if calls else {}
    found = []
    for call in calls:
        own = users.get(get_gradient_edge(call.module.weight).node, [])
        while len(own) == 1 and own[0].name() == "ToCopyBackward0":
            own = users[own[0]]
        if len(own) < 2:
            found.append(call)
    return found


def _cut(feature: Any) -> Any:
    if isinstance(feature, Tensor):
        return feature.detach().requires_grad_(feature.requires_grad)
    return feature


def _requires_grad(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.requires_grad
