from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from mtlrun.backbones._torchvision import TorchvisionResNet
from mtlrun.backbones.resnet18 import ResNet18
from mtlrun.backbones.resnet50 import ResNet50
from mtlrun.core.data import InputSpec
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Output

IMAGE = InputSpec("image", (3, 64, 96))


def make(
    kind: type[ResNet18] | type[ResNet50] = ResNet18,
    spec: InputSpec = IMAGE,
    weights: Path | None = None,
) -> TorchvisionResNet:
    with seeded(0, "backbone"):
        return kind(spec, weights=None if weights is None else str(weights))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    with seeded(1, "weights"):
        torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("kind", "count"),
    # He et al., 2016, counted without the classifier: 11 689 512 - 513 000, 25 557 032 - 2 049 000.
    [(ResNet18, 11_176_512), (ResNet50, 23_508_032)],
)
def test_trunk_has_the_known_number_of_parameters(
    kind: type[ResNet18] | type[ResNet50], count: int
) -> None:
    backbone = make(kind)
    assert sum(p.numel() for p in backbone.parameters()) == count
    assert len(backbone.stages) == 5


@pytest.mark.parametrize("size", [(64, 96), (65, 70), (33, 97)])
def test_dense_head_has_the_declared_size(size: tuple[int, int]) -> None:
    backbone = make(spec=InputSpec("image", (3, *size)))
    head = backbone.make_head(Output("dense", 3))
    assert head(backbone(torch.randn(2, 3, *size))).shape == (2, 3, *size)


def test_heads_fit_resnet50() -> None:
    backbone = make(ResNet50, InputSpec("image", (3, 64, 40))).eval()
    features = backbone(torch.randn(1, 3, 64, 40))
    assert features.shape == (1, 2048, 2, 2)
    assert backbone.make_head(Output("dense", 4)).eval()(features).shape == (1, 4, 64, 40)
    assert backbone.make_head(Output("vector", 9))(features).shape == (1, 9)


def test_stages_compose_to_what_torchvision_computes(weights: Path) -> None:
    reference = torchvision.models.resnet18(weights=None)
    reference.load_state_dict(torch.load(weights, weights_only=True))
    backbone = make(weights=weights).eval()
    images = torch.randn(2, 3, 64, 64)
    features = images
    for stage in backbone.stages:
        features = stage(features)
    assert torch.equal(features, backbone(images))
    torch.testing.assert_close(
        reference.fc(features.mean(dim=(-2, -1))), reference.eval()(images), rtol=1e-4, atol=1e-5
    )


def test_evaluation_is_deterministic_and_no_layer_works_in_place() -> None:
    backbone = make().eval()
    images = torch.randn(1, 3, 40, 40)
    assert torch.equal(backbone(images), backbone(images))
    assert not any(m.inplace for m in backbone.modules() if isinstance(m, nn.ReLU))


def test_runs_under_bf16_autocast() -> None:
    backbone = make()
    head = backbone.make_head(Output("dense", 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = head(backbone(torch.randn(2, 3, 32, 64)))
    prediction.float().mean().backward()
    assert backbone.stages[0][0].weight.grad.isfinite().all()


def test_other_numbers_of_channels_have_a_stem_of_their_own() -> None:
    backbone = make(spec=InputSpec("image", (4, 32, 32)))
    assert backbone(torch.randn(2, 4, 32, 32)).shape == (2, 512, 1, 1)


def test_weights_without_batch_norm_counters_load(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    old = tmp_path / "old.pth"
    torch.save({k: v for k, v in state.items() if "num_batches" not in k}, old)
    loaded = make(weights=old)
    assert torch.equal(loaded.stages[4][1].conv2.weight, state["layer4.1.conv2.weight"])


def test_identity_follows_the_content_of_the_weights_not_their_path(
    weights: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.pth"
    copy.write_bytes(weights.read_bytes())
    assert make(weights=weights).identity() == make(weights=copy).identity()
    assert make(weights=weights).identity() != make().identity()


def test_weights_of_another_network_name_the_keys(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing: `layer1.0.conv3.weight`.*and \d+ more"):
        make(ResNet50, weights=weights)
    state = torch.load(weights, weights_only=True)
    state["conv1.weight"] = state["conv1.weight"][:, :1]
    state["extra"] = torch.zeros(1)
    del state["layer2.0.bn1.bias"]
    torch.save(state, tmp_path / "wrong.pth")
    with pytest.raises(ValueError) as error:
        make(weights=tmp_path / "wrong.pth")
    message = str(error.value)
    assert "missing: `layer2.0.bn1.bias`" in message
    assert "of another shape: `conv1.weight [64, 1, 7, 7], not [64, 3, 7, 7]`" in message
    assert "unexpected: `extra`" in message
    assert "Set backbone.weights" in message


def test_files_that_hold_no_state_dict_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Found no file at"):
        make(weights=tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    with pytest.raises(ValueError, match="cannot read as plain tensors"):
        make(weights=tmp_path / "text.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot read as plain tensors"):
        make(weights=tmp_path / "empty.pth")
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="a list that is not a mapping"):
        make(weights=tmp_path / "list.pth")
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "checkpoint.pth")
    with pytest.raises(ValueError, match="not a mapping of names to tensors"):
        make(weights=tmp_path / "checkpoint.pth")


@pytest.mark.parametrize("kind", [ResNet18, ResNet50])
def test_other_inputs_and_outputs_are_refused(kind: type[ResNet18] | type[ResNet50]) -> None:
    name = kind.__name__.lower()
    with pytest.raises(ValueError, match=f"`{name}` reads images"):
        make(kind, InputSpec("series", (96, 7)))
    with pytest.raises(ValueError, match="`route`"):
        make(kind).make_head(Output("route", 1))


def test_bad_head_width_is_named() -> None:
    with pytest.raises(ValueError, match="`head_width = 0`"):
        ResNet18(IMAGE, head_width=0)
