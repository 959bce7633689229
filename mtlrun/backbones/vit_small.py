"""The small vision transformer."""

from mtlrun.backbones._vit import ViT
from mtlrun.core.data import InputSpec


class ViTSmall(ViT):
    """ViT-S/16: 12 blocks of width 384, 6 heads; features after blocks 3, 6, 9 and 12.

    Source: Touvron et al., arXiv:2012.12877, Table 1; see `mtlrun.backbones._vit.ViT`.

    Args:
        inputs: Images [C, H, W], H and W multiples of 16.
        weights: Path of a local state_dict file to start from, such as timm's of
            `vit_small_patch16_224`; "download" fetches timm's of ImageNet-21k, once; null for random
            weights. Positions are resampled from the file's square grid.
    """

    def __init__(self, inputs: InputSpec, *, weights: str | None = None) -> None:
        super().__init__(
            inputs, name="vit_small", width=384, depth=12, num_heads=6, weights=weights
        )
