"""Weights that make all losses fall at one rate, from the losses alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mtlrun.core.batch import TaskName
from mtlrun.core.weighting import LossWeighting
from mtlrun.weightings._logits import Logits


class FAMO(LossWeighting):
    """Fast adaptive multitask optimization: raises the weights of tasks whose log-losses fell least.

    Source: Liu et al., FAMO, NeurIPS 2023, arXiv:2306.03792, Algorithm 2. The weights of the losses
    are z_t / L_t, over their sum, with z the softmax of logits; after the step the losses of the
    same batch tell how much each log-loss fell, and Adam moves the logits by that.
    Differs: the weight decay of the logits is 1e-3 in the paper's Algorithm 2, in LibMTL and in
    torchjd, 1e-5 in the authors' program. The second look leaves running statistics of batch norm
    alone and draws the same dropout masks, so that only the step shows. The losses' lower bounds
    are 0.

    Args:
        weight_lr: Of the logits' Adam; constant.
        weight_decay: The regularisation gamma of the logits.

    Raises:
        ValueError: If a number is negative or not finite.
    """

    wants_losses_after: ClassVar[bool] = True

    def __init__(self, *, weight_lr: float = 0.025, weight_decay: float = 1e-3) -> None:
        if not (0 <= weight_lr < math.inf and 0 <= weight_decay < math.inf):
            raise ValueError(
                f"`weight_lr` and `weight_decay` should be finite and not negative. Found "
                f"`weight_lr = {weight_lr}`, `weight_decay = {weight_decay}`. Set "
                f"weighting.weight_lr and weighting.weight_decay."
            )
        self.weight_lr, self.weight_decay = weight_lr, weight_decay

    def setup(self, tasks: Sequence[TaskName], device: torch.device) -> None:
        """Makes the logits."""
        super().setup(tasks, device)
        self.logits = Logits(len(tasks), device, lr=self.weight_lr, weight_decay=self.weight_decay)

    def weights(self, losses: Tensor) -> Tensor:
        """[T] of sum 1."""
        weights = self.logits.shares() / self.positive(losses)
        return weights / weights.sum()

    def losses_after(self, before: Tensor, after: Tensor) -> None:
        """Moves the logits by the fall of the log-losses."""
        self.logits.move(self.positive(before).log() - self.positive(after).log())

    def state_dict(self) -> dict[str, Any]:
        """The logits and their Adam."""
        return super().state_dict() | {"logits": self.logits.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        super().load_state_dict(state)
        self.logits.load_state_dict(state["logits"])
