import pytest
import torch
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError

from mtlrun.backbones.resnet_small import ResidualBlock, ResNetSmall
from mtlrun.core.data import InputSpec
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Output, Task
from mtlrun.networks.dsmtl import DSMTL

IMAGE = InputSpec("image", (3, 64, 96))


def make(spec: InputSpec = IMAGE, **arguments: object) -> ResNetSmall:
    with seeded(0, "backbone"):
        return ResNetSmall(spec, **arguments)  # type: ignore[arg-type]  # what the tests vary


def test_has_about_three_hundred_thousand_parameters() -> None:
    # By hand, per stage: 27*32+64, 2*9*32*32+128 + 32*32+64, 9*32*48+9*48*48+192 + 32*48+96, ...
    assert sum(p.numel() for p in make().parameters()) == 269_888


def test_the_last_shared_layer_is_of_the_main_path() -> None:
    block = (backbone := make()).stages[-1]
    assert isinstance(block, ResidualBlock)
    assert backbone.last_shared_layer() is block.residual[4]


@pytest.mark.parametrize("gate_position", [None, 4])
def test_a_public_encoder_s_last_shared_layer_is_of_the_main_path(
    gate_position: int | None,
) -> None:
    task = Task("a", Output("vector", 1), F.mse_loss, {"mae": MeanAbsoluteError}, {"mae": False})
    model = DSMTL(make(), {"a": make()}, [task], seed=0, gate_position=gate_position)
    block = model.public.stages[-1 if gate_position is None else gate_position - 1]
    assert isinstance(block, ResidualBlock)
    assert model.last_shared_layer() is block.residual[4]


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (33, 47), (8, 8), (101, 30)])
def test_dense_head_has_the_declared_size_whether_the_stride_divides_it_or_not(
    size: tuple[int, int],
) -> None:
    backbone = make(InputSpec("image", (3, *size)))
    head = backbone.make_head(Output("dense", 7))
    assert head(backbone(torch.randn(2, 3, *size))).shape == (2, 7, *size)


def test_dense_head_follows_inputs_of_another_size_than_declared() -> None:
    backbone = make()
    head = backbone.make_head(Output("dense", 2))
    assert head(backbone(torch.randn(1, 3, 128, 40))).shape == (1, 2, 128, 40)


def test_vector_head_gives_one_prediction_an_image() -> None:
    backbone = make()
    head = backbone.make_head(Output("vector", 5))
    assert head(backbone(torch.randn(3, 3, 41, 70))).shape == (3, 5)


def test_stages_halve_the_size_three_times_and_compose_to_forward() -> None:
    backbone = make().eval()
    images = torch.randn(2, 3, 64, 96)
    features, sizes = images, []
    for stage in backbone.stages:
        features = stage(features)
        sizes.append(tuple(features.shape[1:]))
    assert sizes == [(32, 32, 48), (32, 16, 24), (48, 8, 12), (64, 8, 12), (96, 8, 12)]
    assert torch.equal(features, backbone(images))


def test_evaluation_draws_nothing_and_training_does() -> None:
    backbone = make(dropout=0.3)
    images = torch.randn(2, 3, 32, 32)
    assert not torch.equal(backbone(images), backbone(images))
    backbone.eval()
    assert torch.equal(backbone(images), backbone(images))


def test_group_norm_treats_every_example_alone() -> None:
    backbone = make(norm="group").double()
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(backbone(images)[:1], backbone(images[:1]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [8, 20, 48])
def test_any_even_width_works_with_either_norm(width: int) -> None:
    for norm in ("batch", "group"):
        features = make(width=width, norm=norm)(torch.randn(2, 3, 16, 24))
        assert features.shape == (2, 3 * width, 2, 3)


def test_heads_and_encoder_run_under_bf16_autocast() -> None:
    backbone = make()
    head = backbone.make_head(Output("dense", 2))
    images = torch.randn(2, 3, 32, 48)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = head(backbone(images))
    prediction.float().square().mean().backward()
    assert prediction.shape == (2, 2, 32, 48)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())


def test_same_seed_makes_the_same_weights() -> None:
    for one, two in zip(make().parameters(), make().parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(
    "spec", [InputSpec("series", (96, 7)), InputSpec("vector", (12,)), InputSpec("image", (3, 64))]
)
def test_other_inputs_than_images_are_refused_with_backbones_that_read_them(
    spec: InputSpec,
) -> None:
    with pytest.raises(ValueError, match=r"`resnet_small` reads images.*backbone=autoformer.*mlp"):
        make(spec)


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`sequence`. Set backbone=autoformer"):
        make().make_head(Output("sequence", 1))


@pytest.mark.parametrize("width", [0, 15, -2])
def test_bad_width_is_named(width: int) -> None:
    with pytest.raises(ValueError, match=f"`width = {width}`"):
        make(width=width)
