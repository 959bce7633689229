"""The residual network of 18 layers at output stride 8, with DeepLab's heads."""

from torch import nn
from torchvision.models import resnet18
from torchvision.models.resnet import BasicBlock

from mtlrun.backbones._deeplab import DilatedResNet
from mtlrun.core.data import InputSpec


class DeepLabResNet18(DilatedResNet):
    """The ResNet-18 of torchvision, its last two layers dilated by 2 and 4 instead of strided.

    Source: Chen et al., arXiv:1706.05587, Section 3.2; the PASCAL-Context and Taskonomy network of
    Deep Safe Multi-Task Learning, Section 7.2.

    Args:
        inputs: Images [C, H, W].
        weights: Path of a local state_dict file of ResNet-18 to start from, such as torchvision's;
            "download" fetches torchvision's of ImageNet-1k, once; null for random weights.
    """

    def __init__(self, inputs: InputSpec, *, weights: str | None = None) -> None:
        network = resnet18(weights=None)
        dilate(network.layer3, before=1)
        dilate(network.layer4, before=2)
        super().__init__(inputs, name="deeplab_resnet18", network=network, weights=weights)


def dilate(layer: nn.Sequential, *, before: int) -> None:
    """Takes the stride of 2 from a layer of basic blocks and doubles the dilation from there on.

    What the layer computes at every second place of an input dilated by `before` stays the same;
    torchvision, whose bottlenecks can be built so, refuses to build basic blocks.

    Args:
        layer: Of blocks, the first of which has stride 2; changed in place.
        before: The dilation of what comes before.
    """
    for k, block in enumerate(layer):
        assert isinstance(block, BasicBlock)
        if k == 0 and block.downsample is not None:
            block.conv1.stride = block.downsample[0].stride = (1, 1)
            block.stride = 1
        for convolution in (block.conv1, block.conv2):
            is_first = k == 0 and convolution is block.conv1
            dilation = before if is_first else 2 * before
            convolution.dilation = convolution.padding = (dilation, dilation)
