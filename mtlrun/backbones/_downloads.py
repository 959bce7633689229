"""Weights that are downloaded, once and only when asked for by `weights=download`."""

from collections.abc import Callable
from pathlib import Path

import timm
import torch
from torchvision.models import ResNet18_Weights, ResNet50_Weights

from mtlrun.core.downloads import DOWNLOAD, fetched_once

_RESNETS = {
    "resnet18": ResNet18_Weights.IMAGENET1K_V1,
    "resnet50": ResNet50_Weights.IMAGENET1K_V1,
}


def weights_file(weights: str, network: str) -> Path:
    """The file that a backbone's `weights` mean; `download` has it fetched if it is not there yet.

    Downloads lie where torch.hub keeps its own, by default in ~/.cache/torch/hub/checkpoints; TORCH_HOME
    moves it. Processes that ask for one at the same time fetch it once.

    Args:
        weights: A path, or "download".
        network: "resnet18" or "resnet50", whose ImageNet-1k weights are torchvision's first ones, or a
            vision transformer of timm, whose ImageNet-21k ones are taken.

    Raises:
        OSError: If it cannot be fetched; it says how to go on without a network.
    """
    if weights != DOWNLOAD:
        return Path(weights)
    name = f"{network}-imagenet1k.pth" if network in _RESNETS else f"{network}-imagenet21k.pth"
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    return fetched_once(
        path,
        _fetch_resnet(network) if network in _RESNETS else _fetch(network),
        what=f"the weights of `{network}`",
        setting="weights",
        key="backbone.weights",
    )


def _fetch_resnet(network: str) -> Callable[[Path], object]:
    url = _RESNETS[network].url
    digest = url.rsplit("-", 1)[1].removesuffix(".pth")  # its first digits are in the name

    def write(partial: Path) -> None:
        torch.hub.download_url_to_file(url, str(partial), hash_prefix=digest, progress=False)

    return write


def _fetch(network: str) -> Callable[[Path], object]:
    def write(partial: Path) -> None:
        model = timm.create_model(f"{network}.augreg_in21k", pretrained=True, num_classes=0)
        torch.save(model.state_dict(), partial)

    return write
