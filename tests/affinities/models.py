"""Small models and training points for the collectors, and the plain way to compute what they compute."""

import copy
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError

from mtlrun.backbones.resnet_small import ResNetSmall
from mtlrun.core.batch import Batch
from mtlrun.core.data import InputSpec
from mtlrun.core.method import AffinityCollector, StepSettings, TrainingPoint
from mtlrun.core.model import Backbone, MultiTaskModel
from mtlrun.core.task import Output, Task
from mtlrun.networks.hard_sharing import HardSharing


class Times(nn.Module):
    """x -> w x."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(values.clone())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class ScalarBackbone(Backbone):
    """Whose one parameter is phi; the heads are made from `head_values`, in order."""

    def __init__(self, phi: Tensor, head_values: Sequence[float]) -> None:
        super().__init__()
        self.stages = nn.ModuleList([Times(phi)])
        self._head_values = iter(head_values)

    def make_head(self, output: Output) -> nn.Module:
        return Times(torch.tensor(next(self._head_values), dtype=torch.float64))


class PointBackbone(Backbone):
    """Whose features are its parameter, whatever the inputs; heads have none."""

    def __init__(self, phi: Tensor) -> None:
        super().__init__()
        self.stages = nn.ModuleList([Times(phi)])

    def make_head(self, output: Output) -> nn.Module:
        return nn.Identity()


class NoisyBackbone(Backbone):
    """Batch norm, dropout and a layer that is not linear, all in training mode."""

    def __init__(self, width: int = 6, dropout: float = 0.3) -> None:
        super().__init__()
        self.width, self.dropout = width, dropout
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Tanh()),
                nn.Sequential(nn.Dropout(dropout), nn.Linear(width, width), nn.LayerNorm(width)),
            ]
        )

    def make_head(self, output: Output) -> nn.Module:
        return nn.Sequential(
            nn.Linear(self.width, 5),
            nn.BatchNorm1d(5),
            nn.Dropout(self.dropout),
            nn.Linear(5, output.channels),
        )


def task(name: str, loss: Callable[[Any, Any], Tensor], channels: int = 1) -> Task:
    return Task(name, Output("vector", channels), loss, {"mae": MeanAbsoluteError}, {"mae": False})


def half_square(prediction: Tensor, target: Tensor) -> Tensor:
    return 0.5 * ((prediction - target) ** 2).sum()


def point_of(
    model: MultiTaskModel,
    batch: Batch,
    *,
    lr: float,
    optimizer: torch.optim.Optimizer | None = None,
    step: int = 0,
) -> TrainingPoint:
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=lr)
    return TrainingPoint(model, model.tasks, batch, optimizer, lr, step, StepSettings())


def fixture_point(lr: float = 0.1) -> TrainingPoint:
    """The tiny model of known values: L_k = (theta_k phi - y_k)^2 / 2."""
    tasks = [task(name, half_square) for name in ("a", "b", "c")]
    backbone = ScalarBackbone(torch.tensor(1.0, dtype=torch.float64), [1.0, 2.0, -1.0])
    model = HardSharing(backbone, tasks, seed=0).train()
    one = torch.ones((), dtype=torch.float64)
    targets = {name: y * one for name, y in zip("abc", (2.0, 1.0, 1.0), strict=True)}
    return point_of(model, Batch(one.expand(1), targets), lr=lr)


def quadratic_point(
    curvatures: Sequence[float],
    centers: Tensor,
    offsets: Sequence[float],
    *,
    phi: Tensor,
    lr: float,
) -> TrainingPoint:
    """L_j = a_j |phi - c_j|^2 / 2 + b_j, without heads."""

    def loss(k: int) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda prediction, _: (
            curvatures[k] * half_square(prediction, centers[k]) + offsets[k]
        )

    tasks = [task(f"t{k}", loss(k)) for k in range(len(curvatures))]
    model = HardSharing(PointBackbone(phi), tasks, seed=0).train()
    ones = torch.ones(len(phi), dtype=torch.float64)
    return point_of(model, Batch(ones, {t.name: ones for t in tasks}), lr=lr)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda p, lr: torch.optim.SGD(p, lr=lr),
    "momentum": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "adam": lambda p, lr: torch.optim.Adam(p, lr=lr, weight_decay=0.01),
}


def noisy_point(
    *, optimizer: str = "adam", lr: float = 0.05, dropout: float = 0.3, num_tasks: int = 3
) -> TrainingPoint:
    """A model with state everywhere, some steps into training."""
    torch.manual_seed(0)
    names = [f"t{k}" for k in range(num_tasks)]
    tasks = [task(name, F.mse_loss if k else F.smooth_l1_loss, 2) for k, name in enumerate(names)]
    model = HardSharing(NoisyBackbone(dropout=dropout), tasks, seed=0).double().train()
    batch = Batch(
        torch.randn(12, 4, dtype=torch.float64),
        {name: torch.randn(12, 2, dtype=torch.float64) for name in names},
    )
    optimizer_ = OPTIMIZERS[optimizer](model.parameters(), lr)
    for _ in range(3):
        optimizer_.zero_grad()
        sum(losses_of(model, batch)).backward()
        optimizer_.step()
    return point_of(model, batch, lr=lr, optimizer=optimizer_, step=3)


def image_point(*, optimizer: str = "momentum", lr: float = 0.01) -> TrainingPoint:
    """Convolutions of images, with a dense head for each of two tasks."""
    torch.manual_seed(0)
    tasks = [
        Task(name, Output("dense", 2), F.mse_loss, {"mae": MeanAbsoluteError}, {"mae": False})
        for name in ("a", "b")
    ]
    backbone = ResNetSmall(InputSpec("image", (3, 16, 24)))
    model = HardSharing(backbone, tasks, seed=0).double().train()
    images = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    targets = {name: torch.randn(2, 2, 16, 24, dtype=torch.float64) for name in ("a", "b")}
    batch = Batch(images, targets)
    moved = OPTIMIZERS[optimizer](model.parameters(), lr)
    sum(losses_of(model, batch)).backward()
    moved.step()
    return point_of(model, batch, lr=lr, optimizer=moved, step=1)


def losses_of(model: MultiTaskModel, batch: Batch) -> list[Tensor]:
    predictions = model(batch.inputs, [t.name for t in model.tasks])
    return [t.loss(predictions[t.name], batch.targets[t.name]) for t in model.tasks]


class Naive:
    """Losses after updates, each from a deep copy and a full forward pass of all tasks."""

    def __init__(self, point: TrainingPoint, rule: str) -> None:
        self.point, self.rule, self.random = point, rule, torch.get_rng_state()
        model = copy.deepcopy(point.model)
        losses = losses_of(model, point.batch)
        self.losses = [float(loss.detach()) for loss in losses]
        self.gradients: list[dict[str, Tensor]] = []
        for loss in losses:
            model.zero_grad()
            loss.backward(retain_graph=True)
            self.gradients.append(
                {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
            )
        torch.set_rng_state(self.random)

    def loss(
        self,
        members: Sequence[int],
        target: int,
        *,
        share: float = 1.0,
        head: float = 1.0,
        step: float = 1.0,
        running: bool = False,
    ) -> float:
        point = self.point
        model, optimizer = copy.deepcopy((point.model, point.optimizer))
        if running:
            losses_of(model, point.batch)  # the forward that moves the running statistics
            for module in model.modules():
                if isinstance(module, nn.BatchNorm1d):
                    module.eval()
        named = dict(model.named_parameters())
        shared = {id(p) for p in model.shared_parameters()}
        wanted: dict[str, Tensor] = {}
        for name, p in named.items():
            if id(p) in shared:
                wanted[name] = share * sum(self.gradients[m][name] for m in members)
            elif name in self.gradients[target] and head:
                wanted[name] = head * self.gradients[target][name]
        optimizer.zero_grad()
        with torch.no_grad():
            for name, gradient in wanted.items() if step else ():
                p = named[name]
                if self.rule == "optimizer":
                    p.grad = gradient
                    continue
                buffer = optimizer.state.get(p, {}).get("momentum_buffer")
                drift = 0.9 * buffer if self.rule == "momentum" and buffer is not None else 0.0
                p -= point.learning_rate * (gradient + drift)
        if self.rule == "optimizer" and step:
            optimizer.step()
        torch.set_rng_state(self.random)
        with torch.no_grad():
            value = float(losses_of(model, point.batch)[target])
        torch.set_rng_state(self.random)
        return value


def observed(collector: AffinityCollector, *points: TrainingPoint) -> Tensor:
    for point in points:
        collector.observe(point)
    return torch.from_numpy(collector.affinity().values)


def fingerprint(point: TrainingPoint) -> str:
    """A hash of everything that a collector could disturb."""
    digest = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            digest.update(str((value.dtype, value.shape, value.stride())).encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key, entry in value.items():
                digest.update(str(key).encode())
                add(entry)
        elif isinstance(value, list | tuple):
            for entry in value:
                add(entry)
        else:
            digest.update(repr(value).encode())

    model = point.model
    add({n: (p, p.data_ptr(), p.requires_grad) for n, p in model.named_parameters()})
    add({n: (id(p.grad), p.grad) for n, p in model.named_parameters()})
    add({n: (id(b), b) for n, b in model.named_buffers()})
    add(
        {
            n: (m.training, sorted(vars(m)), dict(m._forward_hooks), dict(m._forward_pre_hooks))
            for n, m in model.named_modules()
        }
    )
    add([getattr(m, "track_running_stats", None) for m in model.modules()])
    add(point.optimizer.state_dict())
    add([id(entry) for state in point.optimizer.state.values() for entry in state.values()])
    add(torch.get_rng_state())
    return digest.hexdigest()
