"""A dataset, an encoder and a run's setup that take milliseconds."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError

from mtlrun.core.batch import Batch
from mtlrun.core.data import DataSource, InputSpec, SplitName
from mtlrun.core.method import Method
from mtlrun.core.model import Backbone
from mtlrun.core.seeding import generator_for, seed_for
from mtlrun.core.task import Output, Task
from mtlrun.engine.schedules import Constant, Schedule
from mtlrun.engine.settings import RunSetup, TrainerSettings
from mtlrun.methods.hps import HPS
from mtlrun.solvers.exact import Exact
from mtlrun.weightings.equal import Equal

NAMES = ("a", "b", "c")


class ToyData(DataSource):
    """Linear regressions of five numbers, with noise drawn anew for every epoch."""

    def __init__(
        self, *, num_train: int = 40, noise: float = 0.1, bad_from: int | None = None
    ) -> None:
        self.num_train, self.noise, self.bad_from = num_train, noise, bad_from
        self.inputs = InputSpec("vector", (5,))
        self.tasks = tuple(
            Task(name, Output("vector", 1), F.mse_loss, {"mae": MeanAbsoluteError}, {"mae": False})
            for name in NAMES
        )

    def split(self, name: SplitName) -> "ToySplit":
        return ToySplit(name, self.num_train if name == "train" else 16, self)


class ToySplit:
    def __init__(self, name: str, size: int, data: ToyData) -> None:
        generator = generator_for(0, f"toy/{name}")
        weights = torch.randn(5, 3, generator=generator_for(0, "toy/weights"))
        self.x = torch.randn(size, 5, generator=generator)
        self.y = self.x @ weights
        if data.bad_from is not None and name == "train":
            self.y[data.bad_from :, 1] = float("nan")
        self.noise = data.noise if name == "train" else 0.0

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        x = self.x[list(indices)].clone()
        for row, index in enumerate(indices):
            draw = torch.Generator().manual_seed(seed_for(seed, str(index)))
            x[row] += self.noise * torch.randn(5, generator=draw)
        y = self.y[list(indices)]
        return Batch(x, {name: y[:, [column]] for column, name in enumerate(NAMES)})


class ToyBackbone(Backbone):
    """Two small stages with normalisation and dropout."""

    def __init__(
        self, inputs: InputSpec, *, width: int = 8, dropout: float = 0.1, norm: str = "batch"
    ) -> None:
        super().__init__()
        self.width = width
        make_norm = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[norm]
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(inputs.shape[0], width), make_norm(width), nn.Tanh()),
                nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout), nn.Tanh()),
            ]
        )

    def make_head(self, output: Output) -> nn.Module:
        return nn.Linear(self.width, output.channels)


def toy_setup(
    folder: Path,
    *,
    method: Method | None = None,
    data: DataSource | None = None,
    store: Path | None = None,
    trainer: dict[str, Any] | None = None,
    schedule: Schedule | None = None,
    **others: Any,
) -> RunSetup:
    settings = {"epochs": 3, "batch_size": 8, "log_every": 2, "device": "cpu"} | (trainer or {})
    return RunSetup(
        config={"optimizer": {"lr": 0.01}, "method": str(type(method)), "trainer": settings},
        choices={"method": "toy", "data": "toy", "backbone": "toy"},
        folder=folder / "run",
        store=store or folder / "store",
        data=data or ToyData(),
        make_backbone=others.pop("make_backbone", ToyBackbone),
        make_weighting=others.pop("make_weighting", Equal),
        make_optimizer=partial(torch.optim.Adam, lr=0.01),
        schedule=schedule or Constant(),
        method=method or HPS(),
        solver=others.pop("solver", None) or Exact(num_groups=2),
        trainer=TrainerSettings(**settings),
        **others,
    )


def scores_of(outcome: Any) -> dict[str, Tensor]:
    return dict(outcome.result["scores"])
