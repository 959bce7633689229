"""What every weighting, optimizer, collector and built-in dataset keeps while models are trained."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor
from torch.utils import _pytree as pytree

from mtlrun._catalogue import conf_folder, options
from mtlrun.config import Composed, compose
from mtlrun.core.data import DataError, DataSource, InputSpec, SplitName
from mtlrun.core.method import AffinityCollector, MakeOptimizer, StepSettings
from mtlrun.core.model import task_losses
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Task
from mtlrun.core.weighting import Weighting
from mtlrun.engine.pipeline import run
from mtlrun.engine.schedules import Poly
from mtlrun.methods.hps import HPS
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.updates.joint import Joint
from tests.affinities.models import fingerprint, noisy_point
from tests.states import is_same, through_a_file
from tests.toy import NAMES, ToyBackbone, ToyData, toy_setup

WEIGHTINGS, OPTIMIZERS, DATASETS = (
    list(options(group)) for group in ("weighting", "optimizer", "data")
)
COLLECTING = [
    name
    for name in options("method")
    if "collector" in yaml.safe_load((conf_folder() / "method" / f"{name}.yaml").read_text())
]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
SHOWN = 6  # examples of a split that are looked at


@lru_cache
def composed(setting: str) -> Composed:
    return compose([setting])


def weighting(name: str) -> Weighting:
    with seeded(0, "weighting"):
        made = composed(f"weighting={name}").factories["weighting"]()
    assert isinstance(made, Weighting)
    return made


def optimizer(name: str) -> MakeOptimizer:
    make: MakeOptimizer = composed(f"optimizer={name}").built["optimizer"]
    return make


def collecting_method(name: str) -> Any:
    return composed(f"method={name}").factories["method"]()


def collector(name: str) -> AffinityCollector:
    made = collecting_method(name).collector
    assert isinstance(made, AffinityCollector)
    return made


class Trained:
    """The joint rule on the toy data, with dropout and batch norm."""

    def __init__(self, own: Weighting, make_optimizer: MakeOptimizer) -> None:
        data = ToyData()
        self.tasks, self.split = data.tasks, data.split("train")
        with seeded(0, "backbone"):
            backbone = ToyBackbone(data.inputs, dropout=0.1)
        self.model = HardSharing(backbone, self.tasks, seed=0).train()
        self.rule = Joint(own)
        self.rule.setup(self.model, self.tasks, make_optimizer, StepSettings())

    def take(self, first: int, last: int) -> None:
        """Steps `first` to `last` less 1, always on the same batches."""
        for step in range(first, last):
            places = [(8 * step + k) % len(self.split) for k in range(8)]
            self.rule.step(self.split.fetch(places, seed=step))
            if 8 * (step + 1) % len(self.split) == 0:
                self.rule.epoch_ended()

    def losses(self) -> list[float]:
        """Of the whole training split, without noise of layers."""
        batch = self.split.fetch(range(len(self.split)), seed=0)
        self.model.eval()
        with torch.no_grad():
            found = task_losses(self.tasks, self.model(batch.inputs, NAMES), batch.targets)
        self.model.train()
        return [float(loss) for loss in found]

    def state(self) -> dict[str, Any]:
        """All that a checkpoint holds."""
        return {
            "model": self.model.state_dict(),
            "rule": self.rule.state_dict(),
            "random": torch.get_rng_state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.rule.load_state_dict(state["rule"])
        torch.set_rng_state(state["random"])


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_forty_joint_steps_lower_every_loss(name: str) -> None:
    torch.manual_seed(0)
    trained = Trained(weighting(name), lambda p: torch.optim.Adam(p, lr=0.02))
    before = trained.losses()
    trained.take(0, 40)
    after = trained.losses()
    assert all(b < a for a, b in zip(before, after, strict=True)), (before, after)


@pytest.mark.parametrize(
    ("own", "make"),
    dict.fromkeys(
        [(name, "adam") for name in WEIGHTINGS] + [("equal", name) for name in OPTIMIZERS]
    ),
)
def test_a_resumed_training_goes_on_bit_for_bit(own: str, make: str) -> None:
    torch.manual_seed(0)
    straight, first = (Trained(weighting(own), optimizer(make)) for _ in range(2))
    straight.take(0, 40)
    expected = straight.state()
    torch.manual_seed(0)
    first.take(0, 20)
    saved = through_a_file(first.state())
    torch.manual_seed(99)
    second = Trained(weighting(own), optimizer(make))
    second.load(saved)
    second.take(20, 40)
    assert is_same(second.state(), expected)


@pytest.mark.parametrize("name", COLLECTING)
def test_a_collector_leaves_no_trace(name: str) -> None:
    own, point = collector(name), noisy_point()
    before = fingerprint(point)
    for _ in range(2):
        own.observe(point)
        assert fingerprint(point) == before
    assert own.affinity().values.any()


@pytest.mark.parametrize("name", COLLECTING)
def test_a_resumed_collection_ends_bit_for_bit_the_same(name: str) -> None:
    straight, first, second = (collector(name) for _ in range(3))
    points = [noisy_point(lr=0.01 * (k + 1)) for k in range(4)]
    for point in points:
        straight.observe(point)
    for point in points[:2]:
        first.observe(point)
    second.load_state_dict(through_a_file(dict(first.state_dict())))
    for point in points[2:]:
        second.observe(point)
    assert second.affinity().to_json() == straight.affinity().to_json()


@pytest.mark.parametrize("name", COLLECTING)
def test_collecting_and_discarding_trains_the_same_weights(name: str, tmp_path: Path) -> None:
    watched = toy_setup(
        tmp_path / name, method=collecting_method(name), schedule=Poly(), phase="collect"
    )
    run(watched)
    run(toy_setup(tmp_path / "hps", method=HPS(), schedule=Poly()))
    (found,) = (tmp_path / name / "store").rglob("model.pt")
    (expected,) = (tmp_path / "hps" / "store").rglob("model.pt")
    assert is_same(*(torch.load(path, weights_only=True) for path in (found, expected)))
    affinity = json.loads((watched.folder / "affinity.json").read_text())
    assert affinity["num_observations"] == 15


def source(name: str) -> DataSource:
    """A fresh dataset; the test is skipped where its files are not here."""
    data: DataSource = composed(f"data={name}").factories["data"]()
    try:
        data.split("train")
    except DataError:
        pytest.skip("its files are not here")
    return data


def fetched(data: DataSource, split: SplitName, places: Sequence[int] = range(SHOWN)) -> Any:
    """Inputs and targets of some examples."""
    batch = data.split(split).fetch(places, seed=3)
    return batch.inputs, dict(batch.targets)


@pytest.mark.parametrize("name", DATASETS)
def test_an_example_is_the_same_in_every_fetch(name: str) -> None:
    one, other = source(name), source(name)
    for split in SPLITS:
        together = fetched(one, split)
        for places in ([4, 0, 2], [1]):
            expected = pytree.tree_map(lambda values, rows=places: values[rows], together)
            assert is_same(fetched(other, split, places), expected), split


@pytest.mark.parametrize("name", DATASETS)
def test_splits_share_no_example(name: str) -> None:
    data = source(name)
    inputs = [pytree.tree_leaves(fetched(data, split)[0])[0] for split in SPLITS]
    rows = torch.cat(inputs).flatten(1)
    assert len(torch.unique(rows, dim=0)) == len(SPLITS) * SHOWN


@pytest.mark.parametrize("name", DATASETS)
def test_examples_have_the_declared_shapes(name: str) -> None:
    data = source(name)
    names = [task.name for task in data.tasks]
    assert len(set(names)) == len(names) > 0
    for split in SPLITS:
        assert len(data.split(split)) >= SHOWN, split
        inputs, targets = fetched(data, split)
        assert list(targets) == names, split
        assert {tuple(part.shape[1:]) for part in pytree.tree_leaves(inputs)} == {data.inputs.shape}
        assert all(part.isfinite().all() for part in pytree.tree_leaves(inputs)), split
        assert {len(part) for part in pytree.tree_leaves((inputs, targets))} == {SHOWN}, split


def zeros(task: Task, target: Tensor, inputs: InputSpec) -> Tensor:
    """A prediction of zeros, as the task's head shapes it."""
    channels = task.output.channels
    if task.output.kind == "dense":
        return torch.zeros(len(target), channels, *inputs.shape[1:], requires_grad=True)
    if task.output.kind == "sequence":
        own = () if channels == 1 else (channels,)
        return torch.zeros(len(target), inputs.details["pred_len"], *own, requires_grad=True)
    return torch.zeros(len(target), channels, requires_grad=True)


@pytest.mark.parametrize("name", DATASETS)
def test_losses_and_metrics_take_the_targets(name: str) -> None:
    data = source(name)
    _, targets = fetched(data, "train")
    for task in data.tasks:
        target = targets[task.name]
        prediction = zeros(task, target, data.inputs)
        loss = task.loss(prediction, target)
        assert loss.shape == ()
        assert loss.isfinite(), task.name
        (gradient,) = torch.autograd.grad(loss, prediction)
        assert gradient.isfinite().all(), task.name
        assert gradient.any(), task.name
        for metric_name, make in task.metrics.items():
            metric = make()
            assert metric.higher_is_better == task.directions[metric_name], metric_name
            metric.update(prediction.detach(), target)
            assert torch.as_tensor(metric.compute()).isfinite(), (task.name, metric_name)
