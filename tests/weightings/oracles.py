"""Gradients to combine, and what every test of a weighting begins with."""

import importlib
from typing import TypeVar

import torch
import yaml
from torch import Tensor

from mtlrun._catalogue import conf_folder
from mtlrun.core.seeding import seeded
from mtlrun.core.weighting import Weighting

W = TypeVar("W", bound=Weighting)


def rows(num_tasks: int, *, size: int = 12, spread: float = 0.0, seed: int = 0) -> Tensor:
    """[T, size] float64 gradients whose norms differ by up to 10^spread."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(num_tasks, size, generator=generator, dtype=torch.float64)
    scales = torch.linspace(0, spread, num_tasks, dtype=torch.float64)
    return found * 10 ** scales[:, None]


def set_up(weighting: W, num_tasks: int) -> W:
    """The weighting, told of tasks a, b, c, ..."""
    weighting.setup([chr(ord("a") + t) for t in range(num_tasks)], torch.device("cpu"))
    return weighting


def made(kind: type[W], **settings: object) -> W:
    """A weighting made under the seed of a run."""
    with seeded(0, "weighting"):
        return kind(**settings)


def built(name: str) -> Weighting:
    """The weighting of a file of conf/weighting, with its settings, under the seed of a run."""
    values = yaml.safe_load((conf_folder() / "weighting" / f"{name}.yaml").read_text())
    module, _, kind = values.pop("_target_").rpartition(".")
    weighting = made(getattr(importlib.import_module(module), kind), **values)
    assert isinstance(weighting, Weighting)
    return weighting


OPPOSITE = torch.tensor([[1.0, 2.0], [-1.0, -2.0]], dtype=torch.float64)
ALIKE = torch.tensor([[1.0, 2.0], [1.0, 2.0]], dtype=torch.float64)
WITH_ZERO = torch.tensor([[1.0, 2.0], [0.0, 0.0], [2.0, -0.5]], dtype=torch.float64)
EDGES = {
    "opposite": OPPOSITE,
    "alike": ALIKE,
    "zero": WITH_ZERO,
    "one": OPPOSITE[:1],
    "all zero": 0 * OPPOSITE,
}
ONES = torch.ones(3, dtype=torch.float64)
