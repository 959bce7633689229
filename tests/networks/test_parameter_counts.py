"""Parameters of DSMTL's networks, counted as its Tables 1 to 4 print them."""

from collections.abc import Sequence

import pytest
import torch
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError

from mtlrun.backbones.deeplab_resnet18 import DeepLabResNet18
from mtlrun.backbones.deeplab_resnet50 import DeepLabResNet50
from mtlrun.core.data import InputSpec
from mtlrun.core.model import MultiTaskModel
from mtlrun.core.task import Output, Task
from mtlrun.networks.dsmtl import DSMTL
from mtlrun.networks.hard_sharing import HardSharing

Encoder = type[DeepLabResNet18] | type[DeepLabResNet50]
NYUV2, CITYSCAPES, PASCAL = (13, 1, 3), (7, 1), (21, 7, 1, 3)  # PASCAL: saliency as one channel
TASKONOMY = (17, 1, 1, 1, 3)  # segmentation, depth, keypoints, edges, normals


def tasks(channels: Sequence[int]) -> list[Task]:
    return [
        Task(f"t{k}", Output("dense", own), F.mse_loss, {"mae": MeanAbsoluteError}, {"mae": False})
        for k, own in enumerate(channels)
    ]


def millions(model: MultiTaskModel) -> float:
    """Weights; gates, a number each, are too few to show."""
    return sum(p.numel() for p in model.parameters()) / 1e6


def dsmtl(encoder: Encoder, channels: Sequence[int], branches: Sequence[int]) -> DSMTL:
    inputs, chosen = InputSpec("image", (3, 64, 64)), tasks(channels)
    points = {task.name: p for task, p in zip(chosen, branches, strict=True)}
    private = {task.name: encoder(inputs) for task in chosen}
    return DSMTL(encoder(inputs), private, chosen, seed=0, branch_points=points)


@pytest.mark.parametrize(
    ("encoder", "channels", "branches", "expected"),
    [
        (DeepLabResNet50, NYUV2, (1, 1, 1), 142.413),
        (DeepLabResNet50, NYUV2, (6, 6, 4), 93.952),
        (DeepLabResNet50, CITYSCAPES, (1, 1), 102.777),
        (DeepLabResNet50, CITYSCAPES, (6, 3), 79.04),
        (DeepLabResNet18, PASCAL, (1, 1, 1, 1), 74.779),
        (DeepLabResNet18, PASCAL, (6, 2, 1, 4), 62.91),
        (DeepLabResNet18, TASKONOMY, (1, 1, 1, 1, 1), 90.676),
        (DeepLabResNet18, TASKONOMY, (6, 6, 5, 6, 1), 54.36),  # keypoints: Table 5 prints 4
    ],
)
def test_private_modules_gates_and_heads_add_up_to_the_printed_parameters(
    encoder: Encoder, channels: Sequence[int], branches: Sequence[int], expected: float
) -> None:
    with torch.device("meta"):
        found = millions(dsmtl(encoder, channels, branches))
    assert found == pytest.approx(expected, abs=0.006 if round(expected, 2) == expected else 6e-4)


@pytest.mark.parametrize(
    ("encoder", "channels", "expected"),
    [
        (DeepLabResNet50, NYUV2, 71.889), (DeepLabResNet50, CITYSCAPES, 55.761),
        (DeepLabResNet18, PASCAL, 30.073), (DeepLabResNet18, TASKONOMY, 34.793),
    ],
)  # fmt: skip
def test_hard_sharing_has_the_printed_parameters(
    encoder: Encoder, channels: Sequence[int], expected: float
) -> None:
    with torch.device("meta"):
        model = HardSharing(encoder(InputSpec("image", (3, 64, 64))), tasks(channels), seed=0)
    assert millions(model) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("encoder", "channels", "expected"),
    [
        (DeepLabResNet50, NYUV2, 118.905), (DeepLabResNet50, CITYSCAPES, 79.269),
        (DeepLabResNet18, PASCAL, 63.603), (DeepLabResNet18, TASKONOMY, 79.499),
    ],
)  # fmt: skip
def test_single_task_models_together_have_the_printed_parameters(
    encoder: Encoder, channels: Sequence[int], expected: float
) -> None:
    inputs = InputSpec("image", (3, 64, 64))
    with torch.device("meta"):
        found = [millions(HardSharing(encoder(inputs), [t], seed=0)) for t in tasks(channels)]
    assert sum(found) == pytest.approx(expected, abs=6e-4)
