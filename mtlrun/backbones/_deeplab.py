"""What the dilated residual networks have in common: output stride 8 and DeepLab's head."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.segmentation.deeplabv3 import ASPP

from mtlrun.backbones._image import VectorHead
from mtlrun.backbones._torchvision import TorchvisionResNet
from mtlrun.core.data import InputSpec
from mtlrun.core.task import Output

STRIDE = 8
WIDTH = 256
RATES = (12, 24, 36)


class DilatedResNet(TorchvisionResNet):
    """Five stages: the stem with its pooling, and the four layers, at 1/4, 1/4, 1/8, 1/8, 1/8 of the size.

    Heads: atrous spatial pyramid pooling for dense outputs, a linear layer for vectors. Any input
    size works.

    Args:
        inputs: Images [C, H, W].
        name: Of the configuration, for messages.
        network: As torchvision builds it, its last two layers dilated instead of strided.
        weights: See the subclasses.
    """

    def __init__(self, inputs: InputSpec, *, name: str, network: Any, weights: str | None) -> None:
        super().__init__(inputs, name=name, network=network, weights=weights, head_width=WIDTH)

    def make_head(self, output: Output) -> nn.Module:
        """A dense or a vector head.

        Raises:
            ValueError: If the output is neither.
        """
        if output.kind == "dense":
            return PyramidHead(self.channels, outputs=output.channels, size=self.size)
        if output.kind == "vector":
            return VectorHead(self.channels, outputs=output.channels)
        raise ValueError(
            f"Backbone `{self.name}` makes heads for `dense` and `vector` outputs. Found a task whose "
            f"output is `{output.kind}`. Set backbone=autoformer for `sequence` outputs."
        )


class PyramidHead(nn.Module):
    """A prediction for every pixel by atrous spatial pyramid pooling, bilinear to the input's size.

    Source: Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation,
    arXiv:1706.05587, Section 3.3, with rates 12, 24 and 36, then torchvision's 3x3 convolution of
    256 channels, which the parameter counts of Deep Safe Multi-Task Learning's tables include.

    The size follows from the features' as in `mtlrun.backbones._image.DenseHead`.

    Args:
        channels: Of the features.
        outputs: Channels of the prediction.
        size: Height and width of the data's inputs.
    """

    def __init__(self, channels: int, *, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.layers = nn.Sequential(
            ASPP(channels, RATES, WIDTH),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            nn.Conv2d(WIDTH, outputs, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """[B, C, H, W] from features [B, D, H / 8, W / 8].

        Raises:
            ValueError: If one example is to train batch norm of values pooled over the image.
        """
        if self.training and len(features) == 1:
            raise ValueError(
                "A batch should have 2 examples at least to train a deeplab head, whose batch norm sees "
                "one value an image. Found 1. Set trainer.batch_size so that no batch has one example."
            )
        height, width = features.shape[-2:]
        declared = tuple(-(-length // STRIDE) for length in self.size)
        size = self.size if declared == (height, width) else (height * STRIDE, width * STRIDE)
        return F.interpolate(self.layers(features), size=size, mode="bilinear", align_corners=False)
