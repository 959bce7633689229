from pathlib import Path

import pytest
import torch
import torchvision

from mtlrun.backbones._deeplab import DilatedResNet
from mtlrun.backbones.deeplab_resnet18 import DeepLabResNet18
from mtlrun.backbones.deeplab_resnet50 import DeepLabResNet50
from mtlrun.core.data import InputSpec
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Output

Kind = type[DeepLabResNet18] | type[DeepLabResNet50]
IMAGE = InputSpec("image", (3, 64, 96))
NETWORKS = {
    DeepLabResNet18: torchvision.models.resnet18,
    DeepLabResNet50: torchvision.models.resnet50,
}


def make(kind: Kind, size: tuple[int, int] = (64, 96)) -> DilatedResNet:
    with seeded(0, "backbone"):
        return kind(InputSpec("image", (3, *size)))


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# Golden: the printed parameters in millions of Tables 1 to 4 of Deep Safe Multi-Task Learning, of
# single-task models and of hard sharing.
@pytest.mark.parametrize(
    ("kind", "channels", "single", "shared"),
    [
        (DeepLabResNet50, (13, 1, 3), 118.905, 71.889),  # NYUv2
        (DeepLabResNet50, (7, 1), 79.269, 55.761),  # CityScapes
        (DeepLabResNet18, (21, 7, 1, 3), 63.603, 30.073),  # PASCAL-Context
        (DeepLabResNet18, (17, 1, 1, 1, 3), 79.499, 34.793),  # Taskonomy
    ],
)
def test_parameter_counts_are_the_papers(
    kind: Kind, channels: tuple[int, ...], single: float, shared: float
) -> None:
    with torch.device("meta"):
        backbone = kind(IMAGE)
        heads = sum(count(backbone.make_head(Output("dense", c))) for c in channels)
    assert round((len(channels) * count(backbone) + heads) / 1e6, 3) == single
    assert round((count(backbone) + heads) / 1e6, 3) == shared


# Golden: by hand from the layers of He et al., 2016, Table 1: the stem, then layers 1 to 4.
@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        (DeepLabResNet18, [9_536, 147_968, 525_568, 2_099_712, 8_393_728]),
        (DeepLabResNet50, [9_536, 215_808, 1_219_584, 7_098_368, 14_964_736]),
    ],
)
def test_stages_have_the_known_numbers_of_parameters(kind: Kind, counts: list[int]) -> None:
    with torch.device("meta"):
        assert [count(stage) for stage in kind(IMAGE).stages] == counts


@pytest.mark.parametrize("kind", [DeepLabResNet18, DeepLabResNet50])
def test_dilation_computes_what_strides_do_and_the_places_between(
    kind: Kind, tmp_path: Path
) -> None:
    strided = NETWORKS[kind](weights=None).eval()
    torch.save(strided.state_dict(), tmp_path / "weights.pth")
    dilated = kind(IMAGE, weights=str(tmp_path / "weights.pth")).eval()
    hidden = expected = torch.randn(1, 3, 64, 64)
    layers = (strided.layer1, strided.layer2, strided.layer3, strided.layer4)
    with torch.no_grad():
        expected = strided.maxpool(strided.relu(strided.bn1(strided.conv1(expected))))
        hidden = dilated.stages[0](hidden)
        for stage, layer, step in zip(dilated.stages[1:], layers, (1, 1, 2, 4), strict=True):
            hidden, expected = stage(hidden), layer(expected)
            torch.testing.assert_close(hidden[..., ::step, ::step], expected, rtol=1e-4, atol=1e-4)
    assert hidden.shape[-2:] == (8, 8)


@pytest.mark.parametrize("size", [(40, 48), (33, 57)])
def test_predictions_have_the_declared_size_and_every_weight_a_gradient(
    size: tuple[int, int],
) -> None:
    backbone = make(DeepLabResNet18, size)
    head = backbone.make_head(Output("dense", 3))
    prediction = head(backbone(torch.randn(2, 3, *size)))
    assert prediction.shape == (2, 3, *size)
    prediction.square().mean().backward()
    parameters = [*backbone.parameters(), *head.parameters()]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)


def test_images_have_a_vector_head_too() -> None:
    backbone = make(DeepLabResNet18).eval()
    head = backbone.make_head(Output("vector", 5))
    assert head(backbone(torch.randn(1, 3, 32, 32))).shape == (1, 5)


def test_a_batch_of_one_is_refused_in_training_only() -> None:
    backbone = make(DeepLabResNet18)
    head = backbone.make_head(Output("dense", 1))
    features = torch.randn(1, 512, 4, 4)
    with pytest.raises(ValueError, match=r"2 examples at least.*trainer\.batch_size"):
        head(features)
    assert head.eval()(features).shape == (1, 1, 32, 32)


@pytest.mark.parametrize("kind", [DeepLabResNet18, DeepLabResNet50])
def test_other_outputs_are_refused(kind: Kind) -> None:
    with torch.device("meta"):
        backbone = kind(IMAGE)
    with pytest.raises(ValueError, match=r"`deeplab_resnet\d+` makes heads.*`sequence`"):
        backbone.make_head(Output("sequence", 1))
