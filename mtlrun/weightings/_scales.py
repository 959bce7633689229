"""Numbers of a weighting that the model's optimizer learns."""

import torch
from torch import nn


class Scales(nn.Module):
    """T learned numbers, all alike at first.

    Args:
        size: T.
        begin: Where they begin.
    """

    def __init__(self, size: int, begin: float) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.full((size,), begin))
