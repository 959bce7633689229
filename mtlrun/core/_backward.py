"""Backward passes of several tasks through one graph."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

Place = Tensor | GradientEdge

_log = logging.getLogger(__name__)


def one_task_gradients(
    outputs: Sequence[Tensor | GradientEdge],
    places: Sequence[Place],
    gradients: Sequence[Tensor | None],
    *,
    retain_graph: bool = False,
) -> list[Tensor | None]:
    """Gradients at places that follow from those of the outputs.

    Args:
        outputs: Tensors, also such without a graph.
        places: In the graph.
        gradients: One an output, None for 0.
        retain_graph: Whether the graph is needed afterwards.

    Returns:
        One a place, None where nothing arrives.
    """
    reached = [
        (output, gradient)
        for output, gradient in zip(outputs, gradients, strict=True)
        if gradient is not None and not (isinstance(output, Tensor) and not output.requires_grad)
    ]
    if not reached or not places:
        return [None] * len(places)
    return list(
        torch.autograd.grad(
            [output for output, _ in reached],  # type: ignore[arg-type]  # edges are allowed too
            list(places),  # type: ignore[arg-type]  # tensors and edges may be mixed
            [gradient for _, gradient in reached],
            retain_graph=retain_graph,
            allow_unused=True,
        )
    )


def all_tasks_gradients(
    outputs: Sequence[Tensor],
    places: Sequence[Place],
    gradients: Sequence[Sequence[Tensor | None]],
    *,
    savings: Mapping[int, int],
    retain_graph: bool = False,
) -> list[list[Tensor | None]]:
    """For each task what `one_task_gradients` tells, from as few passes as pay.

    A part of the graph next to the outputs, in which no gradient of a matrix is wanted, is walked back
    once for all tasks: what is multiplied there are rows of gradients by weights, and these are then
    read once. The rest is walked back task by task.

    Args:
        outputs: Tensors, also such without a graph.
        places: In the graph.
        gradients: For each task one an output, None for 0.
        savings: By `id` of each parameter whose gradient is not wanted: how many reads of memory
            all tasks at once save a task at its layer; negative where they cost some. The part with
            the largest sum is taken, none if no sum is positive.
        retain_graph: Whether the graph is needed afterwards; the part's buffers stay in any case,
            as long as the outputs do.
    """
    known = [[g for g in row if g is not None] for row in gradients]
    complete = len(known) > 1 and all(len(row) == len(outputs) for row in known)
    crown = _crown(outputs, savings) if complete else None
    if crown is None:
        return _each(outputs, places, gradients, retain_graph=retain_graph)
    nodes = [_node(place) for place in places]
    above = [k for k, node in enumerate(nodes) if node in crown.nodes]
    below = [k for k, node in enumerate(nodes) if node not in crown.nodes]
    batched = _batched(outputs, [*(places[k] for k in above), crown.root], known)
    if batched is None:
        return _each(outputs, places, gradients, retain_graph=retain_graph)
    *upper, root = batched
    lower = _each(
        [crown.root],
        [places[k] for k in below],
        [[gradient] for gradient in root],
        retain_graph=retain_graph,
    )
    rows = []
    for t, row in enumerate(lower):
        found = dict(zip(below, row, strict=True))
        found |= {k: parts[t] for k, parts in zip(above, upper, strict=True)}
        rows.append([found[k] for k in range(len(places))])
    return rows


def _each(
    outputs: Sequence[Place],
    places: Sequence[Place],
    gradients: Sequence[Sequence[Tensor | None]],
    *,
    retain_graph: bool,
) -> list[list[Tensor | None]]:
    last = len(gradients) - 1
    return [
        one_task_gradients(outputs, places, row, retain_graph=retain_graph or t < last)
        for t, row in enumerate(gradients)
    ]


def _batched(
    outputs: Sequence[Tensor], places: Sequence[Place], gradients: Sequence[Sequence[Tensor]]
) -> list[tuple[Tensor, ...]] | None:
    """For each place, all of which the outputs depend on, T gradients from one pass; the graph stays.

    None if the pass fails: for an operator that cannot take batches, or for want of memory. The
    passes one after another then tell whether there is an error.
    """

    def walk(*rows: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(
            list(outputs),
            list(places),  # type: ignore[arg-type]  # tensors and edges may be mixed
            rows,
            retain_graph=True,
        )

    stacked = [torch.stack(parts) for parts in zip(*gradients, strict=True)]
    try:
        with warnings.catch_warnings():
            # An operator without a rule for batches runs once a task, as it would without them
            warnings.filterwarnings("ignore", message=".*performance drop", category=UserWarning)
            return [found.unbind() for found in torch.vmap(walk)(*stacked)]
    except RuntimeError as error:
        _log.debug("Tasks are walked back one after another: %s", error)
        return None


@dataclass(frozen=True)
class _Crown:
    """The nodes between outputs and one tensor that every path to the rest goes through.

    Attributes:
        root: That tensor's place, below the crown.
        nodes: Those of the crown, with its parameters'.
    """

    root: GradientEdge
    nodes: frozenset[Node]


def _crown(outputs: Sequence[Tensor], savings: Mapping[int, int]) -> _Crown | None:
    """The one that saves most among those without a matrix whose gradient is wanted, if there is one."""
    starts = [(output.grad_fn, output.output_nr) for output in outputs]
    waiting = _uses([node for node, _ in starts if node])
    slots: dict[Node, set[int]] = {node: set() for node in waiting}
    ready: list[Node] = []
    reached: set[Node] = set()
    passed: set[Node] = set()
    saved = 0

    def enter(node: Node, slot: int) -> bool:
        """Whether the search may go on."""
        nonlocal saved
        reached.add(node)
        slots[node].add(slot)
        waiting[node] -= 1
        variable = getattr(node, "variable", None)
        if not waiting[node]:
            if variable is None:
                ready.append(node)
            else:
                passed.add(node)
                saved += savings.get(id(variable), 0)
        return variable is None or variable.dim() < 2 or id(variable) in savings

    found, most = None, 0
    going = all(enter(node, slot) if node else False for node, slot in starts)
    while going and ready:
        node = ready[0]
        if len(reached) == len(passed) + 1 and slots[node] == {0} and saved > most:
            found, most = _Crown(GradientEdge(node, 0), frozenset(passed)), saved
        node = ready.pop()
        passed.add(node)
        entered = [enter(source, slot) for source, slot in node.next_functions if source]
        # A function of Python's may know nothing of batches of gradients.
        going = all(entered) and not isinstance(node, BackwardCFunction)
    return found


def users_of_nodes(starts: Sequence[Node]) -> dict[Node, list[Node]]:
    """For each node that can be reached, those that enter it, one for every edge."""
    users: dict[Node, list[Node]] = {node: [] for node in starts}
    stack = list(users)
    while stack:
        node = stack.pop()
        for source, _ in node.next_functions:
            if source is None:
                continue
            if source not in users:
                users[source] = []
                stack.append(source)
            users[source].append(node)
    return users


def _uses(starts: Sequence[Node]) -> dict[Node, int]:
    """How often each node that can be reached is entered, at the starts too."""
    uses = {node: len(own) for node, own in users_of_nodes(starts).items()}
    for node in starts:
        uses[node] += 1
    return uses


def _node(place: Place) -> Node | None:
    if isinstance(place, GradientEdge):
        return place.node
    return get_gradient_edge(place).node
