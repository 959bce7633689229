"""A multilayer perceptron."""

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from mtlrun.core.data import InputSpec
from mtlrun.core.model import Backbone
from mtlrun.core.task import Output

Norm = Literal["none", "batch", "layer"]


class MLP(Backbone):
    """Linear layers with ReLU on the flattened input; one stage a layer.

    Heads: one linear layer, for `vector` outputs [B, C] and, on series, for `sequence` outputs
    [B, L, C] ([B, L] for one channel).

    Args:
        inputs: Of any kind.
        hidden: Widths of the layers, one at least.
        dropout: After every layer.
        norm: Between a linear layer and its ReLU.
    """

    def __init__(
        self,
        inputs: InputSpec,
        *,
        hidden: Sequence[int] = (512, 512, 512),
        dropout: float = 0.0,
        norm: Literal["none", "batch", "layer"] = "none",
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise ValueError(
                f"`hidden` should be positive widths, one at least. Found `hidden = {list(hidden)}`. "
                f"Set backbone.hidden."
            )
        self.inputs, self.width = inputs, hidden[-1]
        sizes = [math.prod(inputs.shape), *hidden]
        self.stages = nn.ModuleList(
            nn.Sequential(
                *([nn.Flatten()] if index == 0 else []),
                nn.Linear(sizes[index], sizes[index + 1]),
                *_norm_layers(norm, sizes[index + 1]),
                nn.ReLU(),
                nn.Dropout(dropout),
            )
            for index in range(len(hidden))
        )

    def make_head(self, output: Output) -> nn.Module:
        """A linear layer."""
        if output.kind == "vector":
            return nn.Linear(self.width, output.channels)
        if output.kind == "sequence" and self.inputs.kind == "series":
            return SequenceHead(
                self.width, length=self.inputs.details["pred_len"], channels=output.channels
            )
        raise ValueError(
            f"Backbone `mlp` makes heads for `vector` outputs, and for `sequence` outputs of series. "
            f"Found a task whose output is `{output.kind}` on inputs of kind `{self.inputs.kind}`. "
            f"Set backbone=resnet_small, resnet18 or resnet50 for `dense` outputs of images, "
            f"backbone=autoformer for series."
        )


class SequenceHead(nn.Module):
    """One linear layer for all steps of a sequence.

    Args:
        width: Of the features.
        length: L.
        channels: C.
    """

    def __init__(self, width: int, *, length: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, length * channels)
        self.channels = channels

    def forward(self, features: Tensor) -> Tensor:
        """[B, L, C], or [B, L] for one channel, from features [B, D]."""
        steps: Tensor = self.linear(features)
        return steps.view(len(steps), -1, self.channels).squeeze(-1)


def _norm_layers(norm: Norm, width: int) -> list[nn.Module]:
    if norm == "none":
        return []
    return [nn.BatchNorm1d(width) if norm == "batch" else nn.LayerNorm(width)]
