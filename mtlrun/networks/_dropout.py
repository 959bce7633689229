"""Dropout of inputs that are large beside the network that reads them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mtlrun.networks._cpu_float import is_cpu_float

PART = 2**18  # values


class InputDropout(nn.Module):
    """Sets values to 0 with a probability and scales the others, as `nn.Dropout` does.

    On a CPU masks are 16 random bits a value, which take a tenth of the time of Bernoulli draws; the probability
    is met to 1 / 131072.

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
        if not is_cpu_float(inputs):
            return F.dropout(inputs, self.share)
        mask = self._mask(inputs)
        return mask * inputs if inputs.requires_grad else mask.mul_(inputs)

    def over(self, buffer: Tensor) -> Tensor:
        """`forward` of contiguous values without a graph, which it may overwrite."""
        if not self.training or not self.share or not is_cpu_float(buffer):
            return self.forward(buffer)
        for part in torch.split(buffer.view(-1), PART):  # whose mask stays in the cache
            part.mul_(self._mask(part))
        return buffer

    def _mask(self, like: Tensor) -> Tensor:
        kept = 1 - self.share
        mask = torch.empty_like(like, requires_grad=False).copy_(_random_bits(like))
        return mask.lt_(round(kept * 2**16) - 2**15).div_(kept)


def _random_bits(like: Tensor) -> Tensor:
    """Numbers of 16 bits, all equally likely, four of a draw."""
    draws = torch.empty(-(-like.numel() // 4), dtype=torch.int64)
    own = draws.random_(-(2**63), None).view(torch.int16)
    return own[: like.numel()].view(like.shape)
