"""T numbers that a weighting learns with an optimizer of its own, and their softmax."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Logits:
    """T logits, moved by Adam at a constant rate, whatever the model's optimizer does.

    Args:
        size: T.
        device: Where they lie.
        lr: Of Adam.
        weight_decay: Of Adam.
    """

    def __init__(
        self, size: int, device: torch.device, *, lr: float, weight_decay: float = 0.0
    ) -> None:
        self.values = torch.zeros(size, device=device, requires_grad=True)
        self._adam = torch.optim.Adam([self.values], lr=lr, weight_decay=weight_decay)

    def shares(self) -> Tensor:
        """[T] their softmax, of sum 1, detached."""
        return self.values.detach().softmax(0)

    def move(self, gradient: Tensor) -> None:
        """Takes a step down a gradient [T] of the softmax."""
        shares = self.shares()
        gradient = gradient.to(shares)
        self.values.grad = shares * (gradient - (shares * gradient).sum())
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs."""
        return {"values": self.values.detach().clone(), "adam": self._adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        with torch.no_grad():
            self.values.copy_(state["values"])
        self._adam.load_state_dict(state["adam"])
