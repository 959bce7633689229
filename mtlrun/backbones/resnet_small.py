"""A small residual encoder for small images: fast on a CPU."""

from typing import Literal

from torch import Tensor, nn

from mtlrun.backbones._image import check_image, init_convolutions, make_image_head, make_norm
from mtlrun.core.data import InputSpec
from mtlrun.core.model import Backbone
from mtlrun.core.task import Output

STRIDE = 8


class ResNetSmall(Backbone):
    """Five stages: a stem and four residual blocks, at 1/2, 1/4, 1/8, 1/8 and 1/8 of the size.

    Source: the basic block of He et al., Deep Residual Learning for Image Recognition, CVPR 2016,
    arXiv:1512.03385, Figure 5 left.
    Differs: one block a stage, narrow, a stem without pooling, no stride after the third stage.

    Heads: dense and vector, see `mtlrun.backbones._image`. Any input size works.

    Args:
        inputs: Images [C, H, W].
        width: Channels of the first two stages; the others have 1.5, 2 and 3 times as many.
        norm: "batch", or "group" for statistics of one example only.
        dropout: Share of values set to zero between the two convolutions of a block.
    """

    def __init__(
        self,
        inputs: InputSpec,
        *,
        width: int = 32,
        norm: Literal["batch", "group"] = "batch",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        channels, *size = check_image(inputs, "resnet_small")
        if width < 2 or width % 2:
            raise ValueError(
                f"`width` should be even and positive. Found `width = {width}`. Set backbone.width."
            )
        self.size, self.norm = (size[0], size[1]), norm
        self.width, self.channels = width, 3 * width
        widths = (width, width, width * 3 // 2, width * 2, width * 3)
        strides = (2, 2, 2, 1, 1)
        stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
            make_norm(norm, width),
            nn.ReLU(),
        )
        blocks = [
            ResidualBlock(widths[k - 1], widths[k], stride=strides[k], norm=norm, dropout=dropout)
            for k in range(1, 5)
        ]
        self.stages = nn.ModuleList([stem, *blocks])
        init_convolutions(self)

    def make_head(self, output: Output) -> nn.Module:
        """A dense or a vector head."""
        return make_image_head(
            output,
            name="resnet_small",
            channels=self.channels,
            hidden=self.width,
            stride=STRIDE,
            size=self.size,
            norm=self.norm,
        )

    def last_shared_layer(self) -> nn.Module:
        """The last 3x3 convolution; the shortcut, which is registered after it, passes it by."""
        blocks = [stage for stage in self.stages if isinstance(stage, ResidualBlock)]
        return blocks[-1].residual[-2] if blocks else super().last_shared_layer()


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes.

    Args:
        inputs: Channels.
        outputs: Channels.
        stride: Of the first convolution.
        norm: After every convolution.
        dropout: Between the two convolutions.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int,
        norm: Literal["batch", "group"],
        dropout: float,
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            make_norm(norm, outputs),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            make_norm(norm, outputs),
        )
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), make_norm(norm, outputs)
            )
        )
        self.activation = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """[B, outputs, H / stride, W / stride] from [B, inputs, H, W]."""
        activated: Tensor = self.activation(self.residual(features) + self.shortcut(features))
        return activated
