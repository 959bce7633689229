"""What the residual networks of torchvision have in common."""

import hashlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtlrun.backbones._downloads import weights_file
from mtlrun.backbones._image import check_image, make_image_head
from mtlrun.core.data import InputSpec
from mtlrun.core.model import Backbone
from mtlrun.core.task import Output

STRIDE = 32
SHOWN_KEYS = 5

Prepare = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


class TorchvisionResNet(Backbone):
    """Five stages: the stem with its pooling, and the four layers, at 1/4, 1/4, 1/8, 1/16, 1/32 of the size.

    Heads: dense and vector, see `mtlrun.backbones._image`. Any input size works.

    Args:
        inputs: Images [C, H, W].
        name: Of the configuration, for messages.
        network: As torchvision builds it.
        weights: See the subclasses.
        head_width: Channels between the two convolutions of a dense head.
    """

    def __init__(
        self, inputs: InputSpec, *, name: str, network: Any, weights: str | None, head_width: int
    ) -> None:
        super().__init__()
        channels, height, width = check_image(inputs, name)
        if head_width < 1:
            raise ValueError(
                f"`head_width` should be at least 1. Found `head_width = {head_width}`. "
                f"Set backbone.head_width."
            )
        self.name, self.size, self.head_width = name, (height, width), head_width
        self.channels = network.fc.in_features
        network.fc = nn.Identity()
        if channels != 3:
            network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.weights_digest: str | None = None
        if weights is not None:
            self.weights_digest = load_weights(
                network, weights_file(weights, name.removeprefix("deeplab_")), name=name
            )
        for layer in network.modules():
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # hooks on a layer's output must find it unchanged
        stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.ModuleList(
            [stem, network.layer1, network.layer2, network.layer3, network.layer4]
        )

    def identity(self) -> dict[str, Any]:
        """The content of the weights' file stands for its path."""
        return super().identity() | {"weights": self.weights_digest}

    def make_head(self, output: Output) -> nn.Module:
        """A dense or a vector head."""
        return make_image_head(
            output,
            name=self.name,
            channels=self.channels,
            hidden=self.head_width,
            stride=STRIDE,
            size=self.size,
            norm="batch",
        )


def load_weights(
    network: nn.Module, path: Path, *, name: str, prepare: Prepare | None = None
) -> str:
    """Loads a state_dict file into a network; the classifier's entries (`fc.*`) are left aside.

    Args:
        network: Without its classifier.
        path: Of a file written by `torch.save(model.state_dict(), path)`.
        name: Of the backbone, for messages.
        prepare: What fits the file's entries to the network.

    Returns:
        The file's SHA-256, in hexadecimal.

    Raises:
        ValueError: If the file is missing, is no state_dict, or one of another network.
    """
    if not path.is_file():
        raise ValueError(
            f"`weights` should be the path of a state_dict file of `{name}`. Found no file at "
            f"`{path}`. Set backbone.weights to a local file, or to null to start from scratch."
        )
    state = _read(path, name)
    if prepare is not None:
        state = prepare(state)
    expected = network.state_dict()
    given = {key: value for key, value in state.items() if not key.startswith("fc.")}
    # Files older than batch norm's counter lack it; it does not matter to what the network computes.
    missing = [k for k in expected if k not in given and not k.endswith("num_batches_tracked")]
    misshapen = [
        f"{k} {list(given[k].shape)}, not {list(expected[k].shape)}"
        for k in expected
        if k in given and given[k].shape != expected[k].shape
    ]
    unexpected = [key for key in given if key not in expected]
    wrong = [
        f"{what}: {_some(keys)}"
        for what, keys in (
            ("missing", missing),
            ("of another shape", misshapen),
            ("unexpected", unexpected),
        )
        if keys
    ]
    if wrong:
        raise ValueError(
            f"`weights` should hold the parameters of `{name}`. Found in `{path}` keys that are "
            f"{'; '.join(wrong)}. Set backbone.weights to a state_dict of this network."
        )
    network.load_state_dict(given, strict=False)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path, name: str) -> Mapping[str, Tensor]:
    found: str
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        found = f"a file that torch cannot read as plain tensors ({type(error).__name__})"
        cause: Exception | None = error
    else:
        if isinstance(state, Mapping) and all(isinstance(v, Tensor) for v in state.values()):
            return state
        found, cause = f"a {type(state).__name__} that is not a mapping of names to tensors", None
    raise ValueError(
        f"`weights` should be a state_dict file of `{name}`. Found in `{path}` {found}. "
        f"Write one with torch.save(model.state_dict(), path)."
    ) from cause


def _some(keys: list[str]) -> str:
    rest = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return ", ".join(f"`{key}`" for key in keys[:SHOWN_KEYS]) + rest
