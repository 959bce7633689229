"""The residual network of 50 layers."""

from torchvision.models import resnet50

from mtlrun.backbones._torchvision import TorchvisionResNet
from mtlrun.core.data import InputSpec


class ResNet50(TorchvisionResNet):
    """The ResNet-50 of torchvision without its classifier, as five stages.

    Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385,
    Table 1.
    Differs: a block's stride lies in its 3x3 convolution, as torchvision has it, not in the first 1x1.

    Args:
        inputs: Images [C, H, W].
        weights: Path of a local state_dict file to start from, such as torchvision's;
            "download" fetches torchvision's of ImageNet-1k, once; null for random weights.
        head_width: Channels between the two convolutions of a dense head.
    """

    def __init__(
        self, inputs: InputSpec, *, weights: str | None = None, head_width: int = 256
    ) -> None:
        super().__init__(
            inputs,
            name="resnet50",
            network=resnet50(weights=None),
            weights=weights,
            head_width=head_width,
        )
