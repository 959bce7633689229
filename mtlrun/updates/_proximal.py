"""Proximal inter-task affinity: what a group's step did to every task's loss, and its moving average."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Conflict = Literal["abs", "signed"]
SelfUpdate = Literal["always", "nonneg"]


def relative_changes(before: Tensor, after: Tensor) -> Tensor:
    """[T] 1 - after / before, positive where a loss fell; not a number where it was 0 or less before.

    Args:
        before: [T] losses at one point.
        after: [T] losses of the same batch after a step.
    """
    return torch.where(before > 0, 1 - after / before, torch.nan)


def track(
    affinity: Tensor,
    group: Sequence[int],
    changes: Tensor,
    *,
    beta: float,
    conflict: Conflict = "abs",
    self_update: SelfUpdate = "always",
) -> Tensor:
    """The moving average after one group's step; only the rows of its tasks move.

    Source: Selective Task Group Updates, Algorithm 1: every task of the group is credited with the
    group's effect, and two of its tasks whose losses moved in opposite directions harm each other.

    Args:
        affinity: [T, T] the average so far, row = source, column = target.
        group: Tasks that were stepped.
        changes: [T] as `relative_changes`; entries that are not a number change nothing.
        beta: Weight of the new value, in (0, 1].
        conflict: What a pair of opposite signs b, c is given: "abs" for -max(|b|, |c|), "signed"
            for -max(b, c).
        self_update: Whether a task's entry for itself moves "always" or only where its change is
            "nonneg"ative.
    """
    members = torch.as_tensor(list(group))
    own = changes[members]
    values = changes.repeat(len(members), 1)  # [G, T]
    opposite = own[:, None] * own < 0  # [G, G]
    sizes = own.abs() if conflict == "abs" else own
    harm = -torch.maximum(sizes[:, None], sizes)
    values[:, members] = torch.where(opposite, harm, values[:, members])
    if self_update == "nonneg":
        values[torch.arange(len(members)), members] = torch.where(own >= 0, own, torch.nan)
    rows = affinity[members]
    moved = torch.where(values.isnan(), rows, (1 - beta) * rows + beta * values)
    return affinity.index_copy(0, members, moved)
