"""Networks that turn pictures into features, frozen. Importing this takes seconds."""

import hashlib
import pickle
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, vgg16

from mtlrun.core.downloads import DOWNLOAD, fetched_once
from mtlrun.core.seeding import seeded
from mtlrun.data._arguments import near_misses

VGG = "vgg16"
VGG_WIDTH = 4096
RANDOM = "random"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels
SHOWN = 3


class FeatureEncoder:
    """A network in evaluation mode, on the accelerator where there is one.

    With `vgg16` features are what the sixth module of torchvision's classifier puts out: the second
    layer of 4096 and its ReLU. With a name of timm's they are those before the classifier.

    Args:
        name: "vgg16", or of a network of timm.
        weights: The path of a state_dict file, "download", or "random" for an untrained network.

    Raises:
        ValueError: If the name is unknown, or the weights are missing.
        OSError: If they cannot be fetched.
    """

    def __init__(self, name: str, weights: str | None) -> None:
        self.name, self.weights = name, weights
        self.width = width_of(name)
        self.path: Path | None = None
        if weights is None:
            raise ValueError(
                f"Pictures are turned into features by `{name}` with weights trained on ImageNet. Found "
                f"`encoder_weights = null`. Set data.encoder_weights=download, or to the path of a "
                f"state_dict file; or data.features to a folder of features."
            )
        if weights == DOWNLOAD:
            self.path = _downloaded(name)
        elif weights != RANDOM:
            self.path = Path(weights)
            if not self.path.is_file():
                raise ValueError(
                    f"`encoder_weights` should be the path of a state_dict file of `{name}`, download, "
                    f"or random. Found no file at `{weights}`. Set data.encoder_weights."
                )

    @cached_property
    def digest(self) -> str:
        """A hash of the weights."""
        if self.path is None:
            return RANDOM
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def __call__(self, pictures: Tensor) -> Tensor:
        """Features [B, D] on CPU of pictures [B, 3, H, W] in 0..1."""
        device = next(self._network.parameters()).device
        mean, std = (torch.tensor(own, device=device)[:, None, None] for own in (MEAN, STD))
        with torch.inference_mode():
            found: Tensor = self._network((pictures.to(device) - mean) / std)
        return found.float().cpu()

    @cached_property
    def _network(self) -> nn.Module:
        with seeded(0, f"encoder/{self.name}"):
            network: nn.Module = _built(self.name)
        if self.path is not None:
            _load(network, self.path, self.name)
        if self.name == VGG:
            network.classifier = network.get_submodule("classifier")[:6]  # type: ignore[index]  # a sequence
        network.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        return network


def width_of(name: str) -> int:
    """D of an encoder's features.

    Raises:
        ValueError: If the name is unknown.
    """
    if name == VGG:
        return VGG_WIDTH
    if name not in timm.list_models():
        raise ValueError(
            f"`encoder` should be vgg16 or a network of timm. Found `encoder = {name}`."
            f"{near_misses(name, timm.list_models())} Set data.encoder."
        )
    with torch.device("meta"):
        network = timm.create_model(name, pretrained=False, num_classes=0)
        return int(network(torch.zeros(1, 3, 224, 224)).shape[1])


def _built(name: str) -> Any:
    if name == VGG:
        return vgg16(weights=None)
    return timm.create_model(name, pretrained=False, num_classes=0)


def _load(network: nn.Module, path: Path, name: str) -> None:
    """Loads a state_dict file; entries of a classifier that the network lacks are left aside."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ValueError(
            f"`encoder_weights` should be a state_dict file of `{name}`. Found in `{path}` a file that "
            f"torch cannot read as plain tensors ({error}). Set data.encoder_weights."
        ) from error
    expected = network.state_dict()
    if not isinstance(state, Mapping):
        state = {}
    wrong = [
        key for key, own in expected.items() if getattr(state.get(key), "shape", 0) != own.shape
    ]
    if wrong:
        raise ValueError(
            f"`encoder_weights` should hold the parameters of `{name}`. Found none that fit for "
            f"{', '.join(f'`{key}`' for key in wrong[:SHOWN])} in `{path}` ({len(wrong)} of "
            f"{len(expected)}). Set data.encoder_weights to a state_dict of this network."
        )
    network.load_state_dict({key: state[key] for key in expected})


def _downloaded(name: str) -> Path:
    """Where torch.hub keeps its own; the file is fetched if it is not there yet."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return fetched_once(
        folder / f"{name}-features.pth",
        _fetch_vgg if name == VGG else _fetch(name),
        what=f"the weights of `{name}`",
        setting="encoder_weights",
        key="data.encoder_weights",
    )


def _fetch_vgg(partial: Path) -> None:
    url = VGG16_Weights.IMAGENET1K_V1.url
    digest = url.rsplit("-", 1)[1].removesuffix(".pth")  # its first digits are in the name
    torch.hub.download_url_to_file(url, str(partial), hash_prefix=digest, progress=False)


def _fetch(name: str) -> Callable[[Path], object]:
    def write(partial: Path) -> None:
        model = timm.create_model(name, pretrained=True, num_classes=0)
        torch.save(model.state_dict(), partial)

    return write
