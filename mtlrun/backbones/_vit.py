"""What the vision transformers have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from mtlrun.backbones._downloads import weights_file
from mtlrun.backbones._image import VectorHead, check_image
from mtlrun.backbones._torchvision import load_weights
from mtlrun.core.data import InputSpec
from mtlrun.core.model import Backbone
from mtlrun.core.task import Output

PATCH = 16
NUM_TAPS = 4


class ViT(Backbone):
    """Five stages: the embedding of patches, and four quarters of the blocks, whose tokens heads read.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, arXiv:2010.11929, as timm
    builds it; features and heads of Selective Task Group Updates, Section 5: the tokens after each
    quarter as maps, those of the last one normalised, concatenated along the channels.

    Heads: one 1x1 convolution for dense outputs, then bilinear to the input's size; a linear layer
    for vectors.

    Args:
        inputs: Images [C, H, W], H and W multiples of 16.
        name: Of the configuration, for messages.
        width: D, of a token.
        depth: Blocks, a multiple of 4.
        num_heads: Of a block's attention.
        weights: See the subclasses.
    """

    def __init__(
        self,
        inputs: InputSpec,
        *,
        name: str,
        width: int,
        depth: int,
        num_heads: int,
        weights: str | None,
    ) -> None:
        super().__init__()
        channels, height, width_of_image = check_image(inputs, name)
        if height % PATCH or width_of_image % PATCH:
            raise ValueError(
                f"Backbone `{name}` cuts images into patches of {PATCH}x{PATCH} pixels, so that height "
                f"and width should be multiples of {PATCH}. Found {height}x{width_of_image}. "
                f"Change the data's size, or set backbone=resnet18, which takes any."
            )
        self.name, self.size = name, (height, width_of_image)
        self.grid = (height // PATCH, width_of_image // PATCH)
        self.channels = NUM_TAPS * width
        network: Any = VisionTransformer(
            img_size=self.size,
            patch_size=PATCH,
            in_chans=channels,
            num_classes=0,
            embed_dim=width,
            depth=depth,
            num_heads=num_heads,
        )
        self.weights_digest: str | None = None
        if weights is not None:
            path = weights_file(weights, f"{name}_patch{PATCH}_224")
            self.weights_digest = load_weights(network, path, name=name, prepare=self._fitted)
        quarter = depth // NUM_TAPS
        parts = [nn.Sequential(*network.blocks[k : k + quarter]) for k in range(0, depth, quarter)]
        parts[-1].append(network.norm)
        embedding = PatchEmbedding(network.patch_embed, network.cls_token, network.pos_embed)
        self.stages = nn.ModuleList([embedding, *parts])

    def merge(self, outputs: Sequence[Any]) -> Tensor:
        """[B, 4 D, H / 16, W / 16] from the tokens [B, 1 + N, D] of the last four stages."""
        maps = [
            tokens[:, 1:].transpose(1, 2).unflatten(2, self.grid) for tokens in outputs[-NUM_TAPS:]
        ]
        return torch.cat(maps, dim=1)

    def identity(self) -> dict[str, Any]:
        """The content of the weights' file stands for its path."""
        return super().identity() | {"weights": self.weights_digest}

    def make_head(self, output: Output) -> nn.Module:
        """A dense or a vector head.

        Raises:
            ValueError: If the output is neither.
        """
        if output.kind == "dense":
            return PointwiseHead(self.channels, outputs=output.channels)
        if output.kind == "vector":
            return VectorHead(self.channels, outputs=output.channels)
        raise ValueError(
            f"Backbone `{self.name}` makes heads for `dense` and `vector` outputs. Found a task whose "
            f"output is `{output.kind}`. Set backbone=autoformer for `sequence` outputs."
        )

    def _fitted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights without the classifier, the positions resampled from a square grid to the data's."""
        fitted = {key: value for key, value in state.items() if not key.startswith("head.")}
        positions = fitted.get("pos_embed")
        if positions is not None and positions.dim() == 3:
            fitted["pos_embed"] = resample_abs_pos_embed(positions, list(self.grid))
        return fitted


class PatchEmbedding(nn.Module):
    """Images as tokens: a linear map of every patch behind a class token, with positions added.

    Args:
        patches: [B, N, D] from [B, C, H, W].
        class_token: [1, 1, D].
        positions: [1, 1 + N, D].
    """

    def __init__(
        self, patches: nn.Module, class_token: nn.Parameter, positions: nn.Parameter
    ) -> None:
        super().__init__()
        self.patches, self.class_token, self.positions = patches, class_token, positions

    def forward(self, images: Tensor) -> Tensor:
        """[B, 1 + N, D] from [B, C, H, W]."""
        patches = self.patches(images)
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1).to(patches), patches], 1)
        embedded: Tensor = tokens + self.positions
        return embedded


class PointwiseHead(nn.Module):
    """A prediction for every pixel: a 1x1 convolution, then bilinear to the input's size.

    Args:
        channels: Of the features.
        outputs: Channels of the prediction.
    """

    def __init__(self, channels: int, *, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[B, C, H, W] from features [B, D, H / 16, W / 16]."""
        return F.interpolate(
            self.convolution(features), scale_factor=PATCH, mode="bilinear", align_corners=False
        )
