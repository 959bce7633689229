import pytest
import torch
from torch import nn

from mtlrun.backbones.celeba_resnet import CelebAResNet
from mtlrun.core.data import InputSpec
from mtlrun.core.task import Output


def make(size: int = 64, width: int = 64) -> CelebAResNet:
    torch.manual_seed(0)
    return CelebAResNet(InputSpec("image", (3, size, size)), width=width)


def test_a_picture_of_64_pixels_gives_14400_features() -> None:
    # algorithms.md 2.6: 15 * 15 * 64.
    backbone = make()
    assert backbone.num_features == 14_400
    assert backbone(torch.randn(2, 3, 64, 64)).shape == (2, 14_400)


def test_parameters_are_three_convolutions_and_three_norms() -> None:
    # By hand: 3 * 64 * 9 + 2 * 64 * 64 * 9 weights and 3 * 2 * 64 of batch norm.
    assert sum(p.numel() for p in make().parameters()) == 1_728 + 73_728 + 384
    head = make().make_head(Output("vector", 2))
    assert sum(p.numel() for p in head.parameters()) == 28_802


def test_batch_norm_has_the_numbers_of_keras() -> None:
    norms = [m for m in make().modules() if isinstance(m, nn.BatchNorm2d)]
    assert [(norm.eps, norm.momentum) for norm in norms] == [(1e-3, 0.01)] * 3


@pytest.mark.parametrize(("size", "left"), [(5, 1), (32, 7), (33, 8), (63, 15)])
def test_any_size_of_picture_gives_the_features_that_heads_expect(size: int, left: int) -> None:
    backbone = make(size, width=4)
    head = backbone.make_head(Output("vector", 2))
    assert backbone.num_features == 4 * left * left
    assert head(backbone(torch.randn(3, 3, size, size))).shape == (3, 2)


def test_pictures_too_small_to_pool_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 5x5.*Found 4x4"):
        make(4)


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`dense`. Set backbone=resnet_small"):
        make(8, width=2).make_head(Output("dense", 1))


def test_bad_width_is_named() -> None:
    with pytest.raises(ValueError, match="`width = 0`"):
        make(width=0)


@pytest.mark.parametrize("momentum", [0.0, 1.5])
def test_bad_momentum_is_named(momentum: float) -> None:
    with pytest.raises(ValueError, match=f"`momentum = {momentum}`"):
        CelebAResNet(InputSpec("image", (3, 8, 8)), momentum=momentum)
