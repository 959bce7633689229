"""PTG's transfer gain: what a step on a pair of tasks does for one of them beyond its own step."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from mtlrun.affinities._collector import (
    Gains,
    MeanCollector,
    Observation,
    first_order_noise,
    is_clear_of_noise,
)
from mtlrun.affinities._first_pass import BatchNorm
from mtlrun.affinities._trace import without_trace
from mtlrun.affinities._virtual import (
    Heads,
    Rule,
    VirtualUpdates,
    averaged_losses,
    computing_type,
    gains,
    virtual_updates,
)
from mtlrun.affinities.tag import check_first_order, first_order_gains
from mtlrun.core.gradients import Gradient, gramian, shared_pass
from mtlrun.core.method import TrainingPoint
from mtlrun.core.seeding import generator_for

PairGradient = Literal["sum", "mean"]
Diagonal = Literal["double_grad", "zero"]


class LookaheadCollector(MeanCollector):
    """Relative fall of task j's loss when a step on i and j replaces a step on j alone.

    S[i, j] = 1 - L_j(phi - lr (g_i + g_j), theta_j') / L_j(phi - lr g_j, theta_j'), averaged over
    batches; theta_j' is the head after its own step in both losses. Costs one forward pass, n
    backward passes and n (n + 1) / 2 + n passes of the encoder with one or two heads for n tasks.

    Source: PTG (Towards Principled Task Grouping for Multi-Task Learning), Eq. 3 and 7; the sampling
        strategy and lazy collection of its complexity section.
    Differs: of the programs, CelebA's takes `rule=momentum`, `batch_norm=running`, and moves head i
        by two steps for the pair (i, i); Taskonomy's `rule=optimizer`, `heads=all`,
        `batch_norm=batch`; ETTm1's `rule=optimizer`, `heads=all`, `pair_gradient=mean`.

    First order: with G the Gramian of the shared gradients and L the losses where training stands,
    S[i, j] = lr G[i, j] / L[j], on the diagonal too (`double_grad`: a second step g_i after the
    first). With `pair_gradient=mean` it is lr (G[i, j] - G[j, j]) / (2 L[j]). Where `heads=all`
    moves the head by another amount in the numerator (twice its gradient h_j on the diagonal, half
    of it in a mean pair), the difference times lr |h_j|^2 / L[j] is added.

    Args:
        every: Batches from one that is looked at to the next.
        sampling: "all" pairs of tasks, or those of a "uniform" random subset whose size is
            uniform from 1 to T.
        rule: How a gradient moves a parameter: "sgd" by learning rate times gradient, "momentum" the
            same with SGD's momentum buffer added, "optimizer" as the optimizer would.
        heads: "fixed"; "own": a task's head is moved once, by its own loss; "all": the whole model
            moves by the pair's loss, so that head i moves by twice its gradient for the pair (i, i),
            and each by half of it with `pair_gradient=mean`; heads outside the pair are never read.
        batch_norm: How it works at the moved parameters: "batch_frozen" on the batch's statistics;
            "batch" the same as in a training forward, moving the running statistics for the time
            being; "running" on the running statistics.
        pair_gradient: Whether a pair steps by the sum or the mean of its gradients.
        diagonal: "double_grad": S[i, i] is a step by 2 g_i against one by g_i (0 with
            `pair_gradient=mean`); "zero": not collected.
        gains: "exact"; "first_order", from the Gramian, without the virtual updates; "auto" takes
            first-order ones for batches on which exact ones would be mostly rounding.
        seed: Of the sampling.
    """

    def __init__(
        self,
        *,
        every: int = 1,
        sampling: Literal["all", "uniform"] = "all",
        rule: Rule = "sgd",
        heads: Heads = "own",
        batch_norm: BatchNorm = "batch_frozen",
        pair_gradient: PairGradient = "sum",
        diagonal: Diagonal = "double_grad",
        gains: Gains = "exact",
        seed: int = 0,
    ) -> None:
        super().__init__("lookahead", every=every)
        check_first_order(gains, rule, batch_norm)
        self.sampling, self.rule, self.heads, self.batch_norm = sampling, rule, heads, batch_norm
        self.pair_gradient, self.diagonal, self.gains = pair_gradient, diagonal, gains
        self._generator = generator_for(seed, "lookahead sampling")

    def describe(self) -> dict[str, Any]:
        """The settings that the values depend on."""
        return {
            "sampling": self.sampling,
            "rule": self.rule,
            "heads": self.heads,
            "batch_norm": self.batch_norm,
            "pair_gradient": self.pair_gradient,
            "diagonal": self.diagonal,
            "gains": self.gains,
        }

    def look(self, point: TrainingPoint) -> Observation:
        """The gains of one batch, between the tasks that are drawn."""
        tasks = self._draw(len(point.tasks))
        if self.gains == "first_order":
            small = self._from_gramian(point, tasks)
        else:
            small = self._exact(point, tasks)
        at = torch.tensor(tasks)
        values = torch.zeros(len(point.tasks), len(point.tasks), dtype=torch.float64)
        looked_at = torch.zeros_like(values, dtype=torch.bool)
        values[at[:, None], at] = small.values
        looked_at[at[:, None], at] = True
        return Observation(values, looked_at, small.noise, small.first_order)

    def state_dict(self) -> dict[str, Any]:
        """The mean's and the sampling's."""
        return super().state_dict() | {"generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        super().load_state_dict(state)
        self._generator.set_state(state["generator"].cpu())

    def _draw(self, num_tasks: int) -> list[int]:
        if self.sampling == "all":
            return list(range(num_tasks))
        size = int(torch.randint(1, num_tasks + 1, (), generator=self._generator))
        return sorted(torch.randperm(num_tasks, generator=self._generator)[:size].tolist())

    def _from_gramian(self, point: TrainingPoint, tasks: Sequence[int]) -> Observation:
        with without_trace(point):
            forward = shared_pass(
                point.model,
                [point.tasks[t] for t in tasks],
                point.batch,
                encoded=[task.name for task in point.tasks],
                autocast=point.settings.autocast(next(point.model.parameters()).device),
                heads=self.heads == "all",
                layers=True,
            )
            products = gramian(forward)
        losses = averaged_losses(forward.losses.unbind())
        return self._expanded(point, products, losses, forward.head_gradients)

    def _expanded(
        self,
        point: TrainingPoint,
        products: Tensor,
        losses: Tensor,
        head_gradients: Sequence[Gradient],
    ) -> Observation:
        """First-order gains, as the class says."""
        products = products.cpu()
        own = products.diagonal()
        if self.pair_gradient == "mean":
            products = (products - own) / 2
        if self.heads == "all":
            squares = [sum((h**2).sum() for h in gradient) for gradient in head_gradients]
            norms = torch.stack([torch.as_tensor(s).double().cpu() for s in squares])
            eye = torch.eye(len(norms), dtype=torch.float64)
            products = products + norms * (eye if self.pair_gradient == "sum" else (eye - 1) / 2)
        values = first_order_gains(products, losses, point.learning_rate)
        scale = first_order_gains(torch.diag(own), losses, point.learning_rate)
        noise = first_order_noise(scale, computing_type(point))
        return Observation(
            self._with_diagonal(values), torch.ones_like(values, dtype=torch.bool), noise, True
        )

    def _exact(self, point: TrainingPoint, tasks: list[int]) -> Observation:
        with virtual_updates(
            point,
            tasks,
            rule=self.rule,
            heads=self.heads,
            batch_norm=self.batch_norm,
            pairs=True,
        ) as updates:
            if self.probe.is_due(self.collected):
                self.probe.take(updates, tasks, self.collected)
            noise = self.probe.relative or 0.0
            if self.gains == "auto":
                losses = averaged_losses([updates.losses[t] for t in tasks])
                products = updates.gramian()
                heads = [updates.head_gradients[t] for t in tasks if self.heads == "all"]
                expanded = self._expanded(point, products, losses, heads)
                if not is_clear_of_noise(expanded.values, noise):
                    return expanded
            own, pairs = self._read(updates, tasks)
        size = len(tasks)
        found = averaged_losses([*own, *pairs])
        after = torch.ones(size, size, dtype=torch.float64)
        at = iter(found[size:])
        for i, j in self._pairs(size):
            after[i, j] = next(at)
            if i != j:
                after[j, i] = next(at)
        values = self._with_diagonal(gains(after, found[:size].expand_as(after)))
        return Observation(values, torch.ones_like(values, dtype=torch.bool), noise)

    def _read(
        self, updates: VirtualUpdates, tasks: Sequence[int]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The loss of each task after its own step, and those of each pair after the pair's."""
        mean = self.pair_gradient == "mean"
        own, pairs = [], []
        for t in tasks:
            updates.move([t])
            own += updates.read([t])
        for a, b in self._pairs(len(tasks)):
            i, j = tasks[a], tasks[b]
            updates.move([i, j], share=0.5 if mean else 1.0)
            share = 0.5 if mean else (2.0 if i == j else 1.0)
            pairs += updates.read([i] if i == j else [j, i], head_share=share)
        return own, pairs

    def _pairs(self, size: int) -> Iterator[tuple[int, int]]:
        """The pairs that take a virtual update, ordered by their first task."""
        whole = self.diagonal == "double_grad" and self.pair_gradient == "sum"
        for i in range(size):
            yield from ((i, j) for j in range(i if whole else i + 1, size))

    def _with_diagonal(self, values: Tensor) -> Tensor:
        if self.diagonal == "zero" or self.pair_gradient == "mean":  # the mean of (i, i) is i's own
            usable = values.diagonal().isfinite()
            values = values.clone()
            values.diagonal().copy_(torch.where(usable, 0.0, torch.nan))
        return values


def group_gain(
    point: TrainingPoint,
    sources: Sequence[int],
    target: int,
    *,
    rule: Rule = "sgd",
    heads: Heads = "own",
    batch_norm: BatchNorm = "batch_frozen",
) -> float:
    """What a step on several tasks and the target does for the target beyond its own step.

    Source: PTG, Eq. 4, S[A -> j]. For one source it is the transfer gain of Eq. 3.

    Args:
        point: Where training stands; it is left as it is.
        sources: Indices of the tasks A, without the target.
        target: Index of the task j.
        rule: As `LookaheadCollector`'s.
        heads: As `LookaheadCollector`'s.
        batch_norm: As `LookaheadCollector`'s.
    """
    tasks = sorted({*sources, target})
    with virtual_updates(point, tasks, rule=rule, heads=heads, batch_norm=batch_norm) as updates:
        updates.move([target])
        before = updates.read([target])
        updates.move([*sources, target])
        after = updates.read([target])
    own, group = averaged_losses([*before, *after])
    return float(gains(group, own))
