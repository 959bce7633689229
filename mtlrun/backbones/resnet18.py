"""The residual network of 18 layers."""

from torchvision.models import resnet18

from mtlrun.backbones._torchvision import TorchvisionResNet
from mtlrun.core.data import InputSpec


class ResNet18(TorchvisionResNet):
    """The ResNet-18 of torchvision without its classifier, as five stages.

    Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, arXiv:1512.03385,
    Table 1.

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
            name="resnet18",
            network=resnet18(weights=None),
            weights=weights,
            head_width=head_width,
        )
