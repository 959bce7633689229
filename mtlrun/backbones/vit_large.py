"""The large vision transformer."""

from mtlrun.backbones._vit import ViT
from mtlrun.core.data import InputSpec


class ViTLarge(ViT):
    """ViT-L/16: 24 blocks of width 1024, 16 heads; features after blocks 6, 12, 18 and 24.

    Source: Dosovitskiy et al., arXiv:2010.11929, Table 1; see `mtlrun.backbones._vit.ViT`.

    Args:
        inputs: Images [C, H, W], H and W multiples of 16.
        weights: Path of a local state_dict file to start from, such as timm's of
            `vit_large_patch16_224`; "download" fetches timm's of ImageNet-21k, once; null for random
            weights. Positions are resampled from the file's square grid.
    """

    def __init__(self, inputs: InputSpec, *, weights: str | None = None) -> None:
        super().__init__(
            inputs, name="vit_large", width=1024, depth=24, num_heads=16, weights=weights
        )
