"""The small residual network of TAG's CelebA experiments."""

from torch import Tensor, nn

from mtlrun.backbones._image import check_image
from mtlrun.core.data import InputSpec
from mtlrun.core.model import Backbone
from mtlrun.core.task import Output

EPSILON = 1e-3
SMALLEST = 5  # below this the pooling leaves nothing


class CelebAResNet(Backbone):
    """Three stages: convolution and maximum pooling; a residual block; mean pooling and flattening.

    Source: Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning, NeurIPS
    2021, arXiv:2109.04617, as its released CelebA program builds it; also PTG, appendix C.

    A 3x3 convolution with batch norm and ReLU, maximum pooling 3 / 2 without padding, a residual
    block of two 3x3 convolutions, mean pooling 2: a 64x64 image gives 15 x 15 x 64 = 14,400 features.
    Convolutions have no bias; all weights are Glorot-uniform, batch norm has epsilon 1e-3.

    Heads: vector only, one linear layer.

    Args:
        inputs: Images [C, H, W].
        width: Channels of all convolutions.
        momentum: Share of a batch in batch norm's running statistics; 0.01 is the default of Keras
            (there 0.99 the other way around), which takes some hundred steps to find them.
    """

    def __init__(self, inputs: InputSpec, *, width: int = 64, momentum: float = 0.01) -> None:
        super().__init__()
        channels, height, across = check_image(inputs, "celeba_resnet")
        if width < 1:
            raise ValueError(
                f"`width` should be at least 1. Found `width = {width}`. Set backbone.width."
            )
        if not 0 < momentum <= 1:
            raise ValueError(
                f"`momentum` should be above 0 and at most 1. Found `momentum = {momentum}`. "
                f"Set backbone.momentum."
            )
        if min(height, across) < SMALLEST:
            raise ValueError(
                f"`celeba_resnet` reads images of at least {SMALLEST}x{SMALLEST} pixels. Found "
                f"{height}x{across}. Set data.size."
            )
        stem = nn.Sequential(
            *_convolution(channels, width, momentum), nn.ReLU(), nn.MaxPool2d(3, 2)
        )
        end = nn.Sequential(nn.AvgPool2d(2), nn.Flatten())
        self.stages = nn.ModuleList([stem, PlainBlock(width, momentum=momentum), end])
        self.num_features = width * _pooled(height) * _pooled(across)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)

    def make_head(self, output: Output) -> nn.Module:
        """A linear layer on all features."""
        if output.kind != "vector":
            raise ValueError(
                f"Backbone `celeba_resnet` makes heads for `vector` outputs. Found a task whose "
                f"output is `{output.kind}`. Set backbone=resnet_small for `dense` outputs, "
                f"backbone=autoformer for `sequence` outputs."
            )
        head = nn.Linear(self.num_features, output.channels)
        nn.init.xavier_uniform_(head.weight)
        nn.init.zeros_(head.bias)
        return head


class PlainBlock(nn.Module):
    """Two 3x3 convolutions beside an identity.

    Args:
        width: Channels.
        momentum: Of batch norm.
    """

    def __init__(self, width: int, *, momentum: float) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_convolution(width, width, momentum),
            nn.ReLU(),
            *_convolution(width, width, momentum),
        )
        self.activation = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """[B, width, H, W] from the same."""
        activated: Tensor = self.activation(self.residual(features) + features)
        return activated


def _convolution(inputs: int, outputs: int, momentum: float) -> tuple[nn.Module, nn.Module]:
    return (
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs, eps=EPSILON, momentum=momentum),
    )


def _pooled(length: int) -> int:
    """What both poolings leave of a length."""
    return ((length - 3) // 2 + 1) // 2
