"""Tracks the proximal affinity over batches and forms the groups that follow from it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from mtlrun.core.batch import TaskName
from mtlrun.core.seeding import generator_for
from mtlrun.updates._groupings import Grouping, Partition
from mtlrun.updates._proximal import Conflict, SelfUpdate, relative_changes, track

Order = Literal["random", "forward", "backward"] | Sequence[TaskName]


class GroupTracker:
    """Where the grouping of a training stands.

    Args:
        tasks: T names.
        grouping: Forms the groups.
        seed: Of everything drawn.
        warmup: Batches with every task alone, if the grouping reads the affinity.
        order: In which the groups of a batch step.
        beta: As in `track`, as are the others.
        conflict: Of two tasks of a group.
        self_update: Of a task's entry for itself.
        divide_by_group_size: Whether a change is shared among the group's tasks first.
        repeats_single: Whether a batch's only group steps twice.
        rounding: The spacing of floats at 1 in the type that losses are computed in: changes below
            it may be rounding.
    """

    def __init__(
        self,
        tasks: Sequence[TaskName],
        *,
        grouping: Grouping,
        seed: int,
        warmup: int,
        order: Order,
        beta: float,
        conflict: Conflict,
        self_update: SelfUpdate,
        divide_by_group_size: bool,
        repeats_single: bool = False,
        rounding: float = 0.0,
    ) -> None:
        self.tasks, self.grouping = tuple(tasks), grouping
        self.warmup, self.order, self.beta = warmup, order, beta
        self.conflict: Conflict = conflict
        self.self_update: SelfUpdate = self_update
        self.divide_by_group_size = divide_by_group_size
        self.repeats_single, self.rounding = repeats_single, rounding
        self._generator = generator_for(seed, "groups")
        size = len(self.tasks)
        self.affinity = torch.zeros(size, size, dtype=torch.float64)
        self.groups: Partition = tuple((task,) for task in range(size))
        self._num_batches = 0
        self._num_groups = 0  # of all batches together, as the next
        self._num_steps = 0
        self._num_credited = 0  # steps that were measured, as the next
        self._num_below = 0
        self._together = torch.zeros(size, size, dtype=torch.int64)

    def next_groups(self) -> Partition:
        """The groups of the next batch, in the order of their steps."""
        if self._num_batches >= self.warmup or not self.grouping.reads_affinity:
            self.groups = self.grouping.partition(self.affinity, self.groups, self._generator)
        self._num_batches += 1
        self._num_groups += len(self.groups)
        for group in self.groups:
            members = torch.tensor(group)
            self._together[members[:, None], members] += 1
        order = self._ordered()
        if self.repeats_single and len(order) == 1:
            order = order * 2
        self._num_steps += len(order)
        return order

    def credit(self, group: Sequence[int], before: Tensor, after: Tensor) -> None:
        """Takes in what a group did.

        Args:
            group: Indices of its tasks.
            before: [T] losses, on CPU.
            after: [T] losses.
        """
        changes = relative_changes(before, after)
        self._num_credited += 1
        self._num_below += bool(changes.abs().nanmedian() < self.rounding)
        self.affinity = track(
            self.affinity,
            group,
            changes / len(group) if self.divide_by_group_size else changes,
            beta=self.beta,
            conflict=self.conflict,
            self_update=self.self_update,
        )

    def scalars(self) -> dict[str, float]:
        """The number of groups of the last batch, its mean over all, the affinities, and the share of small steps."""
        found = {
            "groups": float(len(self.groups)),
            "groups_mean": self._mean_groups(),
            "below_rounding": self._below_rounding(),
        }
        for source, row in self._by_names(self.affinity).items():
            found |= {f"affinity/{source}/{target}": value for target, value in row.items()}
        return found

    def learned(self) -> dict[str, Any]:
        """The affinity, the last batch's groups, how often tasks shared one, and steps a batch.

        `below_rounding` is the share of measured steps whose typical (median) change of a loss was
        smaller than `rounding`.
        """
        return {
            "groups_per_batch": {"mean": self._mean_groups(), "last": len(self.groups)},
            "steps_per_batch": self._num_steps / max(self._num_batches, 1),
            "last_groups": [[self.tasks[task] for task in group] for group in self.groups],
            "co_grouping": self._by_names(self._together.double() / max(self._num_batches, 1)),
            "affinity": self._by_names(self.affinity),
            "rounding": self.rounding,
            "below_rounding": self._below_rounding(),
        }

    def state_dict(self) -> dict[str, Any]:
        """All that the next groups depend on, and what is reported."""
        return {
            "affinity": self.affinity.clone(),
            "groups": [list(group) for group in self.groups],
            "num_batches": self._num_batches,
            "num_groups": self._num_groups,
            "num_steps": self._num_steps,
            "num_credited": self._num_credited,
            "num_below": self._num_below,
            "together": self._together.clone(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        # A checkpoint is read onto the model's device; groups are formed on the CPU.
        self.affinity = state["affinity"].cpu().clone()
        self.groups = tuple(tuple(group) for group in state["groups"])
        self._num_batches, self._num_groups = state["num_batches"], state["num_groups"]
        self._num_steps = state["num_steps"]
        self._num_credited, self._num_below = state["num_credited"], state["num_below"]
        self._together = state["together"].cpu().clone()
        self._generator.set_state(state["generator"].cpu())

    def _ordered(self) -> Partition:
        if self.order == "random":
            drawn = torch.randperm(len(self.groups), generator=self._generator).tolist()
            return tuple(self.groups[k] for k in drawn)
        if self.order in ("forward", "backward"):
            return self.groups if self.order == "forward" else self.groups[::-1]
        places = [self.order.index(task) for task in self.tasks]
        return tuple(sorted(self.groups, key=lambda group: min(places[task] for task in group)))

    def _mean_groups(self) -> float:
        return self._num_groups / max(self._num_batches, 1)

    def _below_rounding(self) -> float:
        return self._num_below / max(self._num_credited, 1)

    def _by_names(self, table: Tensor) -> dict[TaskName, dict[TaskName, float]]:
        rows = (dict(zip(self.tasks, row, strict=True)) for row in table.tolist())
        return dict(zip(self.tasks, rows, strict=True))
