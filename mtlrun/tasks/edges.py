"""Edges: how strongly the image changes at every pixel."""

from mtlrun.core.task import Task
from mtlrun.tasks._regression import map_regression


def edges(name: str = "edges") -> Task:
    """The task of finding edges as a regression: absolute error as loss and as metric `abs_error`.

    Source: Zamir et al., Taskonomy, CVPR 2018, arXiv:1804.08328, supplementary: L1 losses.

    Predictions and targets are [B, 1, H, W]; targets that are not a number are invalid.

    Args:
        name: On the command line.
    """
    return map_regression(name)
