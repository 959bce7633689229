"""Weights that bring the tasks' gradients to one norm, more where training is slow."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mtlrun.core.batch import TaskName
from mtlrun.core.weighting import GradOn, GramianWeighting
from mtlrun.weightings._logits import Logits


class GradNorm(GramianWeighting):
    """Weights w of sum T under which |w_t g_t| is the mean norm times r_t^alpha.

    Source: Chen et al., GradNorm, ICML 2018, arXiv:1711.02257, Algorithm 1: r_t is L_t / L_t(0)
    over its mean, and w goes down the sum of absolute differences, the target taken as constant.
    Differs: w is T times a softmax, as in LibMTL, so that no weight turns negative; the paper moves
    w itself and divides by the sum. L_t(0) is the first batch's loss, in LibMTL the first epoch's
    mean, which has plain weights until then; LibMTL compares gradients of all parameters and moves
    w with the model's optimizer.

    The losses are weighed: a task's own parameters get its gradient times its weight.

    Args:
        grad_on: Of which gradients; the paper's are those of the last shared layer.
        alpha: The strength of the pull to a common training rate.
        weight_lr: Of the Adam that moves the logits of w; constant.

    Raises:
        ValueError: If a number is negative or not finite.
    """

    kept: ClassVar[tuple[str, ...]] = ("first",)

    def __init__(
        self, *, grad_on: GradOn = "last_layer", alpha: float = 1.5, weight_lr: float = 0.025
    ) -> None:
        if not (0 <= alpha < math.inf and 0 <= weight_lr < math.inf):
            raise ValueError(
                f"`alpha` and `weight_lr` should be finite and not negative. Found `alpha = "
                f"{alpha}`, `weight_lr = {weight_lr}`. Set weighting.alpha and weighting.weight_lr."
            )
        super().__init__(grad_on=grad_on)
        self.alpha, self.weight_lr = alpha, weight_lr
        self.first: Tensor | None = None

    def setup(self, tasks: Sequence[TaskName], device: torch.device) -> None:
        """Makes the logits."""
        super().setup(tasks, device)
        self.logits = Logits(len(tasks), device, lr=self.weight_lr)

    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """[T] of sum T; those of the next step follow from this one's norms."""
        known = self.positive(losses)
        self.first = known if self.first is None else self.first
        weights = len(known) * self.logits.shares()
        norms = gramian.diagonal().clamp_min(0).sqrt().to(weights)
        rates = known / self.first
        self.logits.move(norm_slope(weights, norms, (rates / rates.mean()).to(weights), self.alpha))
        return weights

    def head_weights(self, weights: Tensor) -> Tensor:
        """[T] the same."""
        return weights

    def state_dict(self) -> dict[str, Any]:
        """The logits, their Adam and the first losses."""
        return super().state_dict() | {"logits": self.logits.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        super().load_state_dict(state)
        self.logits.load_state_dict(state["logits"])


def norm_slope(weights: Tensor, norms: Tensor, rates: Tensor, alpha: float) -> Tensor:
    """[T] the gradient, at the weights, of the sum of | w_t n_t - target_t |.

    Args:
        weights: [T].
        norms: [T] of the gradients.
        rates: [T] relative inverse training rates, of mean 1.
        alpha: Their power.
    """
    weighed = weights * norms
    return torch.sign(weighed - weighed.mean() * rates**alpha) * norms
