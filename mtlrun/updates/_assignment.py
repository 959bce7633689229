"""Relaxed assignments of tasks to groups, and losses of single examples for them."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from mtlrun.core.task import Task

Sample = Literal["gumbel", "batch_gumbel", "relaxed", "softmax", "softmax_tau", "diagonal"]
TauSchedule = Literal["constant", "linear", "exp"]


def gumbel_noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Independent draws of the standard Gumbel distribution, float64 on CPU.

    Args:
        shape: Of the result.
        generator: On CPU.
    """
    draws = torch.empty(*shape, dtype=torch.float64).exponential_(generator=generator)
    return -draws.log()


def shares(logits: Tensor, *, tau: float = 1.0, noise: Tensor | None = None) -> Tensor:
    """Z = softmax((A + noise) / tau): positive, and of sum 1 over the groups.

    Args:
        logits: [T, K] A.
        tau: Temperature: near 0, Z is near one-hot; large, near uniform.
        noise: [..., T, K], or [B, K] with logits [K]; None for none.

    Returns:
        The shape of the sum.
    """
    moved = logits if noise is None else logits + noise.to(logits.dtype).to(logits.device)
    return (moved / tau).softmax(-1)


def temperature(progress: float, *, tau: float, tau_end: float, schedule: TauSchedule) -> float:
    """The temperature at a share of the training.

    Args:
        progress: In 0..1.
        tau: At 0.
        tau_end: At 1, unless the schedule is constant.
        schedule: "constant", "linear", or "exp" for equal ratios in equal times.
    """
    if schedule == "constant":
        return tau
    if schedule == "linear":
        return tau + (tau_end - tau) * progress
    return float(tau * (tau_end / tau) ** progress)


def binary_entropy(logits: Tensor) -> Tensor:
    """Mean over tasks of the sum over groups of the entropy of "is in this group, or is not".

    It is 0 where every task is in one group surely. It is not the entropy of the assignment, which
    has no second term: sum over k of -p ln p - (1 - p) ln(1 - p), p the softmax over the groups.

    Args:
        logits: [T, K].

    Returns:
        A scalar in nats.
    """
    least = torch.finfo(logits.dtype).eps
    p = logits.softmax(1).clamp(least, 1 - least)
    terms = -p * p.log() - (1 - p) * (1 - p).log()
    return terms.sum(1).mean() if logits.shape[1] > 1 else 0 * logits.sum()


def mixed(losses: Tensor, weights: Tensor) -> Tensor:
    """[...] sum over k of Z[..., k] L[..., k], where Z sums to 1 over k.

    It is computed as L[..., 0] + sum of Z (L - L[..., 0]), the first a constant: where the losses of
    all groups are the same, so that Z does not matter, its gradient is 0 and not rounding, of which
    Adam's first step would make a whole one.

    Args:
        losses: [..., K] L.
        weights: [..., K] Z.
    """
    first = losses[..., :1].detach()
    return first.squeeze(-1) + (weights * (losses - first)).sum(-1)


def example_losses(task: Task, prediction: Any, target: Any) -> Tensor:
    """[B] the task's loss of every example alone.

    Their mean is the batch's loss where every example has as many entries that count; else an
    example weighs the same here whatever their number.

    Args:
        task: Whose loss is a mean over a batch.
        prediction: A nest of [B, ...].
        target: The same.
    """

    def alone(own: Any, truth: Any) -> Tensor:
        return task.loss(_rows(own, None), _rows(truth, None))

    try:
        found: Tensor = torch.vmap(alone)(prediction, target)
    except RuntimeError:  # a loss that looks at values, which it cannot for many at once
        places = [slice(b, b + 1) for b in range(len(pytree.tree_leaves(target)[0]))]
        found = torch.stack(
            [task.loss(_rows(prediction, rows), _rows(target, rows)) for rows in places]
        )
    return found


def _rows(nest: Any, rows: slice | None) -> Any:
    """Rows of every tensor; None makes each a batch of one."""
    return pytree.tree_map_only(Tensor, lambda leaf: leaf[rows], nest)
