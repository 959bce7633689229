from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision

from mtlrun.backbones._downloads import weights_file
from mtlrun.backbones.deeplab_resnet18 import DeepLabResNet18
from mtlrun.backbones.resnet18 import ResNet18
from mtlrun.backbones.vit_tiny import ViTTiny
from mtlrun.core.data import InputSpec
from mtlrun.core.seeding import seeded

IMAGE = InputSpec("image", (3, 32, 64))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is fetched, from a hub that has everything, into a folder of its own."""
    fetched: list[str] = []
    create = timm.create_model

    def download(url: str, dst: str, hash_prefix: str, progress: bool) -> None:
        fetched.append(url)
        assert url.endswith(f"-{hash_prefix}.pth")
        network: Callable[..., torch.nn.Module] = torchvision.models.resnet18
        with seeded(5, "hub"):
            torch.save(network(weights=None).state_dict(), dst)

    def model(name: str, *, pretrained: bool, num_classes: int) -> Any:
        fetched.append(name)
        assert pretrained
        with seeded(6, "hub"):
            return create(name, pretrained=False, num_classes=num_classes)

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(timm, "create_model", model)
    return fetched


def test_weights_are_downloaded_once_for_all_networks_that_share_them(hub: list[str]) -> None:
    first = ResNet18(IMAGE, weights="download")
    second = DeepLabResNet18(IMAGE, weights="download")
    assert len(hub) == 1
    assert "resnet18" in hub[0]
    found = first.state_dict()["stages.1.0.conv1.weight"]
    torch.testing.assert_close(second.state_dict()["stages.1.0.conv1.weight"], found)
    assert first.identity()["weights"] == second.identity()["weights"]
    with seeded(5, "hub"):
        expected = torchvision.models.resnet18(weights=None).layer1[0].conv1.weight
    torch.testing.assert_close(found, expected.detach())


def test_transformers_start_from_imagenet_21k(hub: list[str]) -> None:
    backbone = ViTTiny(IMAGE, weights="download")
    assert hub == ["vit_tiny_patch16_224.augreg_in21k"]
    with seeded(6, "hub"):
        expected = timm.create_model(hub[0], pretrained=True, num_classes=0)
    block = backbone.stages[1][0].attn.qkv.weight  # type: ignore[index]  # a sequence of blocks
    torch.testing.assert_close(block, expected.blocks[0].attn.qkv.weight)


def test_without_a_network_the_error_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise TimeoutError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(OSError, match=r"`resnet18`.*no route to host.*backbone\.weights"):
        ResNet18(IMAGE, weights="download")
    assert not list(tmp_path.rglob("*.pth"))


def test_a_path_is_left_as_it_is() -> None:
    assert weights_file("some/file.pth", "resnet18") == Path("some/file.pth")
