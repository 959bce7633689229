"""Dropout of inputs that are large beside the network that reads them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class InputDropout(nn.Module):
    """Sets values to 0 with a probability and scales the others, as `nn.Dropout` does.

    On a CPU masks are compared uniform numbers, in one buffer: a third of the time of Bernoulli draws.

    Args:
        share: The probability.

    Raises:
        ValueError: If it is out of range.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise ValueError(
                f"`dropout` should be 0 or more and below 1. Found `dropout = {share}`. "
                f"Set method.dropout."
            )
        self.share = share

    def forward(self, inputs: Tensor) -> Tensor:
        """Of any shape."""
        if not self.training or not self.share:
            return inputs
        if inputs.device.type != "cpu":
            return F.dropout(inputs, self.share)
        kept = 1 - self.share
        mask = torch.empty_like(inputs, requires_grad=False).uniform_().lt_(kept).div_(kept)
        return mask * inputs if inputs.requires_grad else mask.mul_(inputs)
