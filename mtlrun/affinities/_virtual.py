"""Virtual updates: losses of one batch at other parameters, without a trace."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mtlrun.affinities._first_pass import BatchNorm, first_pass
from mtlrun.affinities._optimizer_copy import step_by_copy
from mtlrun.affinities._stand_ins import (
    FewRowsLayer,
    StandIn,
    channels_first,
    formed_input_layer,
    has_few_rows,
    is_input_layer,
    is_unformed_input_layer,
    unformed_input_layer,
)
from mtlrun.affinities._trace import without_trace
from mtlrun.core.distributed import average_, num_processes
from mtlrun.core.gradients import (
    Gradient,
    SharedPass,
    partly_formed_gradients,
    partly_formed_gramian,
)
from mtlrun.core.layers import LayerCall, LayerRecorder
from mtlrun.core.method import TrainingPoint
from mtlrun.core.model import task_losses

Rule = Literal["sgd", "momentum", "optimizer"]
Heads = Literal["fixed", "own", "all"]


@contextmanager
def virtual_updates(
    point: TrainingPoint,
    tasks: Sequence[int],
    *,
    rule: Rule,
    heads: Heads,
    batch_norm: BatchNorm,
    pairs: bool = False,
) -> Iterator["VirtualUpdates"]:
    """Virtual updates from a training point, which is as it was afterwards.

    Args:
        point: As of `VirtualUpdates`.
        tasks: As of `VirtualUpdates`.
        rule: As of `VirtualUpdates`.
        heads: As of `VirtualUpdates`.
        batch_norm: As of `first_pass`.
        pairs: Whether there will be many more updates than tasks, so that more layers are worth a
            stand-in that answers for the moved weights.
    """
    # Running statistics could change a first layer's inputs; bfloat16 would round the sums.
    stood_in = batch_norm == "batch_frozen" and point.settings.precision == "fp32"
    stood_in = stood_in and rule != "optimizer"
    # The mean of the processes' gradients has the rows of all of them.
    alone = stood_in and num_processes() == 1
    with without_trace(point) as buffers:
        parameters = [p for p in point.model.shared_parameters() if p.requires_grad]
        wanted = partial(is_input_layer, sum(p.numel() for p in parameters))
        inputs = LayerRecorder(point.model, parameters, wanted)
        inner = LayerRecorder(point.model, parameters, has_few_rows)
        with inputs, inner:
            forward, rewound = first_pass(point, tasks, buffers, batch_norm, heads=heads != "fixed")
        unformed = [c for c in inputs.calls() if alone and is_unformed_input_layer(len(tasks), c)]
        updates = VirtualUpdates(
            point,
            tasks,
            forward,
            rewound,
            rule=rule,
            heads=heads,
            formed_inputs=[c for c in inputs.calls() if stood_in and pairs and c not in unformed],
            unformed_inputs=unformed,
            few_rows=inner.calls() if alone and pairs else [],
        )
        try:
            yield updates
        finally:
            updates.reset()
            updates.remove_stand_ins()


class VirtualUpdates:
    """Moves a model's parameters by tasks' gradients and tells the losses there.

    Gradients come from one forward pass at the training point. Every later evaluation draws the
    random numbers of that pass again, so that all losses are under the same dropout masks. A virtual
    update writes into the parameters in place. Made by `virtual_updates`.

    Args:
        point: Where training stands.
        tasks: Indices in `point.tasks` of those that take part.
        forward: The pass of these tasks.
        rewound: Buffers and the values that every evaluation begins with.
        rule: How a gradient moves a parameter p: "sgd" p - lr g; "momentum" p - lr (g + mu b) with
            the SGD momentum buffer b, read only; "optimizer" the real optimizer's step, on a copy
            of its state and without clipping.
        heads: "fixed" moves the shared parameters only; with "own" a loss is read with the task's
            head moved once by its own loss; with "all" a head moves as in a step of the whole
            model, `head_share` times its gradient.
        formed_inputs: Calls of layers that read only the inputs and get a stand-in.
        unformed_inputs: The same, whose gradients are better left unformed.
        few_rows: Calls of inner layers whose gradients are better left unformed.

    Attributes:
        losses: By task, where training stands, of this process's examples.
        gradients: By task, of the shared parameters that are written into: of no stand-in's.
        head_gradients: By task, of its head's; empty with `heads="fixed"`.
    """

    def __init__(
        self,
        point: TrainingPoint,
        tasks: Sequence[int],
        forward: SharedPass,
        rewound: Sequence[tuple[Tensor, Tensor]],
        *,
        rule: Rule,
        heads: Heads,
        formed_inputs: Sequence[LayerCall] = (),
        unformed_inputs: Sequence[LayerCall] = (),
        few_rows: Sequence[LayerCall] = (),
    ) -> None:
        self._point, self._rule, self._heads, self._rewound = point, rule, heads, rewound
        self._tasks = {t: point.tasks[t] for t in tasks}
        self._random = (
            dict(zip([None, *tasks], forward.random_states[:-1], strict=True))
            if not forward.random_states[0].equals(forward.random_states[-1])
            else {}
        )
        self.losses = dict(zip(tasks, forward.losses, strict=True))
        self._unformed = [*few_rows, *unformed_inputs]
        self._found = found = partly_formed_gradients(forward, self._unformed)
        self._own: dict[int, list[nn.Parameter]] = {}
        self.head_gradients: dict[int, Gradient] = {}
        if heads != "fixed":
            for t, gradient in zip(tasks, forward.head_gradients, strict=True):
                own = point.model.task_parameters(point.tasks[t].name)
                self._own[t] = [p for p in own if p.requires_grad]
                self.head_gradients[t] = gradient
        self._shares = dict.fromkeys(self._own, 0.0)
        moved = [*forward.parameters, *(p for own in self._own.values() for p in own)]
        self._values = {p: p.detach().clone() for p in moved}
        self._centers = self._values
        if rule == "momentum":
            self._centers = {p: self._drifted(p) for p in moved}
        kept = {id(p) for call in formed_inputs for p in call.module.parameters()}
        written = [k for k, p in enumerate(found.parameters) if id(p) not in kept]
        self._shared = [found.parameters[k] for k in written]
        self.gradients = {
            t: [row[k] for k in written] for t, row in zip(tasks, self._found.rows, strict=True)
        }
        self._stand_ins: list[StandIn] = []
        for call in formed_inputs:
            self._stand_ins.append(self._from_parameters(call, found.parameters))
        for place, call in enumerate(self._unformed):
            self._stand_ins += self._from_outputs(call, place, is_input=place >= len(few_rows))
        self._hooks = channels_first(point.model) if self._stand_ins else []
        self._origins: Gradient = []
        self._origin: tuple[int, float] | None = None

    @torch.no_grad()
    def reset(self) -> None:
        """Copies the values of the training point back into all parameters."""
        for layer in self._stand_ins:
            layer.rest()
        for p, value in self._values.items():
            p.copy_(value)
        self._shares = dict.fromkeys(self._own, 0.0)

    def gramian(self) -> Tensor:
        """[T, T] float64 inner products of the tasks' gradients of the shared parameters."""
        return partly_formed_gramian(self._found, self._unformed)

    def remove_stand_ins(self) -> None:
        """Has the layers with a stand-in work as before."""
        while self._stand_ins:
            self._stand_ins.pop().remove()
        while self._hooks:
            self._hooks.pop().remove()

    def _center(self, call: LayerCall) -> dict[str, Tensor]:
        return {name: self._centers[p] for name, p in call.module.named_parameters()}

    def _from_parameters(self, call: LayerCall, parameters: Sequence[nn.Parameter]) -> StandIn:
        place = {id(p): k for k, p in enumerate(parameters)}
        own = dict(call.module.named_parameters())
        gradients = {
            t: {name: row[place[id(p)]] for name, p in own.items()}
            for t, row in zip(self._tasks, self._found.rows, strict=True)
        }
        return formed_input_layer(call, self._center(call), gradients)

    def _from_outputs(self, call: LayerCall, place: int, *, is_input: bool) -> Iterator[StandIn]:
        outputs = self._found.outputs[place]
        reached = [gradient for gradient in outputs if gradient is not None]
        if not reached:  # no step moves the layer
            return
        zeros = torch.zeros_like(reached[0])
        gradients = {
            t: zeros if g is None else g for t, g in zip(self._tasks, outputs, strict=True)
        }
        make = unformed_input_layer if is_input else FewRowsLayer
        yield make(call, self._center(call), gradients)

    @torch.no_grad()
    def move(self, members: Sequence[int], *, share: float = 1.0) -> None:
        """Puts the shared parameters where one step by a sum of gradients leads.

        Args:
            members: Tasks whose gradients are summed; one may occur twice.
            share: What the sum is multiplied by.
        """
        if self._rule == "optimizer":
            rows = [self.gradients[t] for t in members]
            self._step(self._shared, [share * sum(p) for p in zip(*rows, strict=True)])
            return
        step = -share * self._point.learning_rate
        for layer in self._stand_ins:
            layer.move(members, step)
        first, *others = members
        centers = [self._centers[p] for p in self._shared]
        if not others:
            _stepped(self._shared, centers, self.gradients[first], step)
            return
        if self._origin != (first, step):  # pairs of one first task begin at the same place
            self._origins = self._origins or [torch.empty_like(center) for center in centers]
            _stepped(self._origins, centers, self.gradients[first], step)
            self._origin = (first, step)
        _stepped(self._shared, self._origins, self.gradients[others[0]], step)
        for t in others[1:]:
            _stepped(self._shared, self._shared, self.gradients[t], step)

    @torch.no_grad()
    def read(self, targets: Sequence[int], *, head_share: float = 1.0) -> list[Tensor]:
        """Losses where the parameters are now, by one pass of the encoder and the targets' heads.

        Args:
            targets: Tasks.
            head_share: With `heads="all"`, how many times its gradient a head has moved.

        Returns:
            One float64 scalar a target, of this process's examples.
        """
        for t in targets if self._heads != "fixed" else ():
            self._move_head(t, head_share if self._heads == "all" else 1.0)
        for buffer, value in self._rewound:
            buffer.copy_(value)
        model, batch = self._point.model, self._point.batch
        predictions: dict[str, Any] = {}
        self._draw_again(None)
        with self._point.settings.autocast(self._shared[0].device):
            features = model.encode(batch.inputs, [task.name for task in self._point.tasks])
            for t in targets:
                self._draw_again(t)
                predictions |= model.decode(features, [self._tasks[t].name])
        losses = task_losses([self._tasks[t] for t in targets], predictions, batch.targets)
        return [loss.double() for loss in losses]

    @torch.no_grad()
    def jitter(self, generator: torch.Generator) -> None:
        """Rounds the parameters anew: moves them by the size of float rounding.

        Either by an error that is uniform between plus and minus half the spacing of the floats that
        the pass computes in, or, where parameters are such floats, to a neighbour of a twelfth of
        them, which has the same variance.

        Args:
            generator: On the parameters' device.
        """
        computing = computing_type(self._point)
        for p in self._values:
            draw = torch.rand(p.shape, generator=generator, device=p.device)
            if torch.finfo(computing).eps > torch.finfo(p.dtype).eps:
                spacing = torch.ldexp(torch.ones_like(p), torch.frexp(p).exponent - 1)
                p.add_((draw - 0.5) * spacing * torch.finfo(computing).eps)
                continue
            infinity = torch.full_like(p, torch.inf)
            p.copy_(torch.where(draw < 1 / 24, torch.nextafter(p, infinity), p))
            p.copy_(torch.where(draw > 23 / 24, torch.nextafter(p, -infinity), p))

    def _move_head(self, task: int, share: float) -> None:
        if self._shares[task] == share:
            return
        own, gradient = self._own[task], self.head_gradients[task]
        if self._rule == "optimizer":
            self._step(own, [share * part for part in gradient])
        else:
            centers = [self._centers[p] for p in own]
            _stepped(own, centers, gradient, -share * self._point.learning_rate)
        self._shares[task] = share

    def _draw_again(self, task: int | None) -> None:
        if self._random:
            self._random[task].restore()

    def _drifted(self, p: nn.Parameter) -> Tensor:
        for group in self._point.optimizer.param_groups:
            if "momentum" not in group:
                raise ValueError(
                    f"`rule=momentum` should be used with an optimizer that has momentum buffers, such as SGD. "
                    f"Found {type(self._point.optimizer).__name__}. Set `rule=optimizer`."
                )
            if any(p is q for q in group["params"]):
                buffer = self._point.optimizer.state.get(p, {}).get("momentum_buffer")
                if buffer is not None:
                    drift = self._point.learning_rate * group["momentum"]
                    return torch.sub(self._values[p], buffer, alpha=drift)
        return self._values[p]

    def _step(self, parameters: Sequence[nn.Parameter], gradients: Gradient) -> None:
        values = [self._values[p] for p in parameters]
        step_by_copy(self._point.optimizer, parameters, values, gradients)


def computing_type(point: TrainingPoint) -> torch.dtype:
    """The floats that a forward pass computes most in."""
    if point.settings.precision == "bf16":
        return torch.bfloat16
    return next(point.model.parameters()).dtype


def averaged_losses(losses: Sequence[Tensor]) -> Tensor:
    """[N] float64 on CPU: scalars as means over the processes, by one message."""
    stacked = torch.stack([loss.detach().double() for loss in losses])
    average_([stacked])
    return stacked.cpu()


def gains(after: Tensor, before: Tensor) -> Tensor:
    """1 - after / before, float64; nan where `before` is not a positive number."""
    return torch.where(before > 0, 1 - after / before, torch.nan)


def _stepped(
    outs: Sequence[Tensor], centers: Sequence[Tensor], gradient: Gradient, step: float
) -> None:
    for out, center, part in zip(outs, centers, gradient, strict=True):
        torch.add(center, part, alpha=step, out=out)
