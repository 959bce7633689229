from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from mtlrun.backbones._vit import ViT
from mtlrun.backbones.vit_base import ViTBase
from mtlrun.backbones.vit_large import ViTLarge
from mtlrun.backbones.vit_small import ViTSmall
from mtlrun.backbones.vit_tiny import ViTTiny
from mtlrun.core.data import InputSpec
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Output

IMAGE = InputSpec("image", (3, 32, 48))
SQUARE = InputSpec("image", (3, 224, 224))


def make(spec: InputSpec = IMAGE, weights: Path | None = None) -> ViT:
    with seeded(0, "backbone"):
        return ViTTiny(spec, weights=None if weights is None else str(weights))


@pytest.fixture(scope="module")
def reference() -> Any:
    with seeded(1, "weights"):
        made = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    return made.eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, reference: Any) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vit_tiny.pth"
    torch.save(reference.state_dict(), path)
    return path


# Golden: the published sizes at 224x224 less the classifier of 1000 classes, by an independent
# count: 12 (or 24) blocks of 12 D^2 + 13 D, patches 768 D + D, 198 D tokens, and the last norm 2 D.
@pytest.mark.parametrize(
    ("kind", "width", "count"),
    [
        (ViTTiny, 192, 5_524_416),
        (ViTSmall, 384, 21_665_664),
        (ViTBase, 768, 85_798_656),
        (ViTLarge, 1024, 303_301_632),
    ],
)
def test_parameter_counts_are_the_published_ones(
    kind: type[ViTTiny] | type[ViTSmall] | type[ViTBase] | type[ViTLarge], width: int, count: int
) -> None:
    with torch.device("meta"):
        backbone = kind(SQUARE)
        head = backbone.make_head(Output("dense", 40))
    assert sum(p.numel() for p in backbone.parameters()) == count
    assert sum(p.numel() for p in head.parameters()) == 40 * (4 * width + 1)
    parts = backbone.stages[1:]
    depths = [sum(type(m).__name__ == "Block" for m in part.children()) for part in parts]
    assert depths == [6 if kind is ViTLarge else 3] * 4


def test_features_are_the_tokens_of_timm_after_each_quarter(weights: Path, reference: Any) -> None:
    backbone = make(SQUARE, weights).eval()
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        features = backbone(images)
        inner = reference.get_intermediate_layers(images, [2, 5, 8], reshape=True)
        last = reference.get_intermediate_layers(images, [11], reshape=True, norm=True)
    assert features.shape == (1, 768, 14, 14)
    torch.testing.assert_close(features, torch.cat([*inner, *last], 1), rtol=1e-4, atol=1e-5)


def test_predictions_have_the_inputs_size_and_every_weight_a_gradient() -> None:
    backbone = make()
    head = backbone.make_head(Output("dense", 3))
    prediction = head(backbone(torch.randn(2, 3, 32, 48)))
    assert prediction.shape == (2, 3, 32, 48)
    prediction.square().mean().backward()
    parameters = [*backbone.parameters(), *head.parameters()]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)
    assert backbone.make_head(Output("vector", 5))(backbone(torch.randn(2, 3, 32, 48))).shape == (
        2,
        5,
    )


def test_no_layer_normalises_over_the_batch() -> None:
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in make().modules())


def test_positions_are_resampled_to_the_datas_grid(weights: Path) -> None:
    state = torch.load(weights, weights_only=True)
    embedding, *_, last = make(weights=weights).stages
    positions = embedding.get_parameter("positions")
    assert positions.shape == (1, 1 + 2 * 3, 192)
    assert torch.equal(positions[:, 0], state["pos_embed"][:, 0])
    same = make(SQUARE, weights).stages[0].get_parameter("positions")
    assert torch.equal(same, state["pos_embed"])
    assert torch.equal(last.get_parameter("0.mlp.fc1.weight"), state["blocks.9.mlp.fc1.weight"])


def test_identity_follows_the_content_of_the_weights(weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.pth"
    copy.write_bytes(weights.read_bytes())
    assert make(weights=weights).identity() == make(weights=copy).identity()
    assert make(weights=weights).identity() != make().identity()


def test_runs_under_bf16_autocast() -> None:
    backbone = make()
    head = backbone.make_head(Output("dense", 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = head(backbone(torch.randn(2, 3, 32, 48)))
    assert prediction.float().isfinite().all()


def test_sizes_that_patches_do_not_fill_are_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of 16. Found 30x48.*backbone=resnet18"):
        make(InputSpec("image", (3, 30, 48)))


def test_weights_of_another_network_name_the_keys(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"`vit_small`.*of another shape: `cls_token \[1, 1, 192\]"
    ):
        ViTSmall(IMAGE, weights=str(weights))
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"missing: `cls_token`.*unexpected: `conv1.weight`"):
        make(weights=tmp_path / "other.pth")


def test_other_inputs_and_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="`vit_tiny` reads images"):
        make(InputSpec("series", (96, 7)))
    with pytest.raises(ValueError, match="`sequence`"):
        make().make_head(Output("sequence", 1))
