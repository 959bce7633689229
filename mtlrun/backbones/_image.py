"""Heads on the features of image encoders, and the check of their inputs."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from mtlrun.core.data import InputSpec
from mtlrun.core.task import Output

Norm = Literal["batch", "group"]


def check_image(inputs: InputSpec, name: str) -> tuple[int, int, int]:
    """The [C, H, W] of one example.

    Args:
        inputs: Of the data.
        name: Of the backbone, for the message.

    Raises:
        ValueError: If the inputs are not images.
    """
    if inputs.kind != "image" or len(inputs.shape) != 3:
        raise ValueError(
            f"Backbone `{name}` reads images [C, H, W]. Found inputs of kind `{inputs.kind}` and shape "
            f"{list(inputs.shape)}. Set backbone=autoformer for series, backbone=mlp for vectors."
        )
    channels, height, width = inputs.shape
    return channels, height, width


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Batch norm, or group norm in groups of 8 channels (of all channels if 8 does not divide them)."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(channels // 8 if channels % 8 == 0 else 1, channels)


def init_convolutions(module: nn.Module) -> None:
    """He-normal weights by fan-out and zero biases for every convolution, as residual networks use."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class DenseHead(nn.Module):
    """A prediction for every pixel: 3x3 convolution, norm, ReLU, 1x1 convolution, bilinear to the input's size.

    Features do not tell the exact size of the input they come from. If their size is what the data's
    declared input size gives, the prediction has that size; else their own times the stride, which
    is the input's where the stride divides it.

    Args:
        channels: Of the features.
        hidden: Channels between the convolutions.
        outputs: Channels of the prediction.
        stride: Of the features.
        size: Height and width of the data's inputs.
        norm: Between the convolutions.
    """

    def __init__(
        self,
        channels: int,
        *,
        hidden: int,
        outputs: int,
        stride: int,
        size: tuple[int, int],
        norm: Norm,
    ) -> None:
        super().__init__()
        self.stride, self.size = stride, size
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, padding=1, bias=False),
            make_norm(norm, hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, outputs, 1),
        )
        init_convolutions(self.layers)

    def forward(self, features: Tensor) -> Tensor:
        """[B, C, H, W] from features [B, D, H / stride, W / stride]."""
        height, width = features.shape[-2:]
        declared = tuple(-(-length // self.stride) for length in self.size)
        size = self.size
        if declared != (height, width):
            size = (height * self.stride, width * self.stride)
        return F.interpolate(self.layers(features), size=size, mode="bilinear", align_corners=False)


class VectorHead(nn.Module):
    """One prediction an image: mean over all places, then a linear layer.

    Args:
        channels: Of the features.
        outputs: Channels of the prediction.
    """

    def __init__(self, channels: int, *, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """[B, C] from features [B, D, h, w]."""
        pooled: Tensor = self.linear(features.mean(dim=(-2, -1)))
        return pooled


def make_image_head(  # noqa: D417  # the arguments are DenseHead's
    output: Output,
    *,
    name: str,
    channels: int,
    hidden: int,
    stride: int,
    size: tuple[int, int],
    norm: Norm,
) -> nn.Module:
    """The dense or the vector head of an image encoder.

    Args:
        output: What the head must produce.
        name: Of the backbone, for the message; the others as in `DenseHead`.

    Raises:
        ValueError: If an image encoder has no head for such an output.
    """
    if output.kind == "dense":
        return DenseHead(
            channels, hidden=hidden, outputs=output.channels, stride=stride, size=size, norm=norm
        )
    if output.kind == "vector":
        return VectorHead(channels, outputs=output.channels)
    raise ValueError(
        f"Backbone `{name}` makes heads for `dense` and `vector` outputs. Found a task whose output "
        f"is `{output.kind}`. Set backbone=autoformer for `sequence` outputs."
    )
