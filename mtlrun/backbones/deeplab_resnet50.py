"""The residual network of 50 layers at output stride 8, with DeepLab's heads."""

from torchvision.models import resnet50

from mtlrun.backbones._deeplab import DilatedResNet
from mtlrun.core.data import InputSpec


class DeepLabResNet50(DilatedResNet):
    """The ResNet-50 of torchvision, its last two layers dilated by 2 and 4 instead of strided.

    Source: Chen et al., arXiv:1706.05587, Section 3.2; the NYUv2 and CityScapes network of Deep Safe
    Multi-Task Learning, Section 7.2.

    Args:
        inputs: Images [C, H, W].
        weights: Path of a local state_dict file of ResNet-50 to start from, such as torchvision's;
            "download" fetches torchvision's of ImageNet-1k, once; null for random weights.
    """

    def __init__(self, inputs: InputSpec, *, weights: str | None = None) -> None:
        network = resnet50(weights=None, replace_stride_with_dilation=[False, True, True])
        super().__init__(inputs, name="deeplab_resnet50", network=network, weights=weights)
