"""A network of several groups: its parts, its predictions, and what pruning leaves of it, in float64."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from mtlrun.backbones.resnet_small import ResNetSmall
from mtlrun.core.batch import Batch
from mtlrun.core.data import InputSpec
from mtlrun.core.model import Backbone, task_losses
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Output
from mtlrun.networks.grouped import GradScale, Grouped, initial_logits
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.networks.pruned import PrunedGroup
from tests.toy import NAMES, ToyBackbone, ToyData

TASKS = ToyData().tasks
SCALES: tuple[GradScale, ...] = get_args(GradScale)


class Skipping(Backbone):
    """Three stages whose outputs are all merged, by parameters that no stage holds."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Tanh()),
                nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh()),
                nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.2)),
            ]
        )
        self.joined = nn.Linear(18, 4)

    def merge(self, outputs: Sequence[Tensor]) -> Tensor:
        joined: Tensor = self.joined(torch.cat(list(outputs), dim=1))
        return joined

    def make_head(self, output: Output) -> nn.Module:
        return nn.Linear(4, output.channels)


def encoder() -> Skipping:
    with seeded(0, "backbone"):
        return Skipping()


def grouped(num_groups: int = 3, **settings: Any) -> Grouped:
    model = Grouped(encoder(), TASKS, seed=0, num_groups=num_groups, **settings)
    return model.double().train()


def parted(num_groups: int = 3, assigned: Sequence[int] = (2, 0, 2), **settings: Any) -> Grouped:
    """A model whose groups differ, with statistics of some batches and an assignment."""
    model = grouped(num_groups, **settings)
    with torch.no_grad():
        for k, own in enumerate([*model.encoders, *model.heads]):
            for p in own.parameters():
                p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(k)))
        for n, k in enumerate(assigned):
            model.assignment_logits[n, k] += 1
        for first in (0, 8, 16):
            model.predictions_by_group(batch(first).inputs, NAMES)
    return model.eval()


def batch(first: int = 0) -> Batch:
    found = ToyData().split("train").fetch(range(first, first + 8), seed=0)
    return found.map(lambda tensor: tensor.double())


def by_task(first: int = 0) -> dict[str, Tensor]:
    """Inputs that differ from task to task, also in number."""
    inputs = batch(first).inputs
    assert isinstance(inputs, Tensor)
    return {name: inputs[: 8 - k] + k for k, name in enumerate(NAMES)}


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_shared_and_task_parameters_are_all_without_overlap(shared: int) -> None:
    model = grouped(num_shared_stages=shared)
    parts = [model.shared_parameters(), *(model.task_parameters(name) for name in NAMES)]
    found = [id(p) for part in parts for p in part]
    assert len(found) == len(set(found))
    assert set(found) == {id(p) for p in model.parameters()}


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_what_is_shared_comes_once_and_the_rest_once_a_group(shared: int) -> None:
    whole = sum(p.numel() for p in HardSharing(encoder(), TASKS, seed=0).parameters())
    common = sum(p.numel() for stage in encoder().stages[:shared] for p in stage.parameters())
    for k in (1, 2, 5):
        found = sum(p.numel() for p in grouped(k, num_shared_stages=shared).parameters())
        assert found == common + k * (whole - common) + 3 * k


def test_all_groups_begin_as_the_hard_sharing_model() -> None:
    expected = HardSharing(encoder(), TASKS, seed=0).double().eval()
    model = grouped(num_shared_stages=1).eval()
    with torch.no_grad():
        known = expected(batch().inputs, NAMES)
        for own in model.predictions_by_group(batch().inputs, NAMES):
            assert all(torch.equal(own[name], known[name]) for name in NAMES)


def test_independent_heads_differ_after_the_first_group() -> None:
    model, alike = grouped(independent_heads=True), grouped()
    state, plain = model.state_dict(), alike.state_dict()
    for name in NAMES:
        heads = [state[f"heads.{k}.{name}.weight"] for k in range(3)]
        assert torch.equal(heads[0], plain[f"heads.0.{name}.weight"])
        assert not any(torch.equal(heads[i], heads[j]) for i in range(3) for j in range(i))
    assert torch.equal(state["encoders.2.joined.weight"], state["encoders.0.joined.weight"])


@pytest.mark.parametrize("inputs", [batch().inputs, by_task()], ids=["same", "own"])
@pytest.mark.parametrize("shared", [0, 1, 2])
def test_predictions_are_those_of_the_assigned_groups(inputs: Any, shared: int) -> None:
    model = parted(num_shared_stages=shared)
    assert model.groups_of(NAMES) == {"a": 2, "b": 0, "c": 2}
    with torch.no_grad():
        found, known = model(inputs, NAMES), model.predictions_by_group(inputs, NAMES)
        alone = model(inputs, ["b"])
    for name, k in model.groups_of(NAMES).items():
        torch.testing.assert_close(found[name], known[k][name], rtol=0, atol=1e-14)
    assert list(alone) == ["b"]
    torch.testing.assert_close(alone["b"], found["b"], rtol=0, atol=1e-14)


def test_only_the_groups_in_use_are_computed() -> None:
    model = parted()
    run = []
    for k, own in enumerate(model.encoders):
        own.joined.register_forward_hook(lambda *_, k=k: run.append(k))
    model(batch().inputs, NAMES)
    model(batch().inputs, ["b"])
    model.train()(batch().inputs, ["a", "c"])
    assert run == [2, 0, 0, 2]


def test_equal_logits_fall_to_the_first_group() -> None:
    assert grouped(4).groups_of(NAMES) == dict.fromkeys(NAMES, 0)


@pytest.mark.parametrize("inputs", [batch().inputs, by_task()], ids=["same", "own"])
@pytest.mark.parametrize("shared", [0, 1, 2])
def test_pruned_groups_predict_what_the_whole_does_bit_for_bit(inputs: Any, shared: int) -> None:
    model = parted(num_shared_stages=shared)
    with torch.no_grad():
        expected = model(inputs, NAMES)
        for k, names in ((2, ["a", "c"]), (0, ["b"])):
            pruned = pruned_group(model, k, names, shared=shared).eval()
            found = pruned(inputs, names)
            assert list(found) == names
            assert all(torch.equal(found[name], expected[name]) for name in names)


def test_pruned_convolutions_predict_what_the_whole_does_bit_for_bit() -> None:
    tasks = [task.__class__(**{**vars(task), "output": Output("dense", 2)}) for task in TASKS]
    with seeded(0, "backbone"):
        backbone = ResNetSmall(InputSpec("image", (3, 16, 24)), width=8)
    model = Grouped(copy.deepcopy(backbone), tasks, seed=0, num_groups=2, num_shared_stages=2)
    images = torch.randn(4, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.train().predictions_by_group(images, NAMES)
        model.assignment_logits[1, 1] += 1
        expected = model.eval()(images, NAMES)
        for k, names in enumerate((["a", "c"], ["b"])):
            own = [task for task in tasks if task.name in names]
            pruned = PrunedGroup(backbone, own, seed=1, group=k, num_shared_stages=2)
            pruned.take(model.state_dict())
            found = pruned.eval()(images, names)
            assert all(torch.equal(found[name], expected[name]) for name in names)


def test_pruning_keeps_no_parameter_of_other_groups_or_heads() -> None:
    model = parted(num_shared_stages=1)
    pruned = pruned_group(model, 2, ["a", "c"], shared=1)
    hps = HardSharing(encoder(), [TASKS[0], TASKS[2]], seed=0)
    assert {k: v.shape for k, v in pruned.state_dict().items()} == {
        k: v.shape for k, v in hps.state_dict().items()
    }
    storages = {p.untyped_storage().data_ptr() for p in model.parameters()}
    assert not storages & {p.untyped_storage().data_ptr() for p in pruned.parameters()}


def test_what_all_groups_share_stays_as_it_is_in_a_pruned_one() -> None:
    pruned = pruned_group(parted(num_shared_stages=2), 2, ["a", "c"], shared=2).train()
    before = copy.deepcopy(pruned.state_dict())
    optimizer = torch.optim.SGD(pruned.parameters(), lr=0.1, weight_decay=0.1)
    losses = task_losses(pruned.tasks, pruned(batch().inputs, ["a", "c"]), batch().targets)
    torch.stack(losses).sum().backward()
    optimizer.step()
    same = {k: torch.equal(v, before[k]) for k, v in pruned.state_dict().items()}
    frozen = {k for k in same if k.startswith(("backbone.stages.0.", "backbone.stages.1."))}
    assert {k for k, is_same in same.items() if is_same} == frozen
    common = sum(p.numel() for k, p in pruned.named_parameters() if k in frozen)
    assert pruned.learned() == {"group": 2, "common_parameters": common}


def pruned_group(model: Grouped, k: int, names: Sequence[str], *, shared: int = 0) -> PrunedGroup:
    tasks = [task for task in TASKS if task.name in names]
    pruned = PrunedGroup(Skipping(), tasks, seed=9, group=k, num_shared_stages=shared).double()
    pruned.take(model.state_dict())
    return pruned


@pytest.mark.parametrize("grad_scale", SCALES)
@pytest.mark.parametrize("num_groups", [1, 4])
def test_gradients_are_scaled_before_heads_and_before_encoders(
    grad_scale: GradScale, num_groups: int
) -> None:
    plain, own = (
        grouped(num_groups, num_shared_stages=1, grad_scale=s) for s in ("none", grad_scale)
    )
    before_heads = {"none": 1.0, "intended": 3**-0.5, "code": num_groups**-0.5}[grad_scale]
    before_groups = 1.0 if grad_scale == "none" else num_groups**-0.5
    found, known = gradients(own), gradients(plain)
    for name, expected in known.items():
        factor = {"heads": 1.0, "encoders": before_heads, "shared": before_heads * before_groups}
        wanted = factor[name.split(".")[0]] * expected
        torch.testing.assert_close(found[name], wanted, rtol=1e-12, atol=1e-15)


def gradients(model: Grouped) -> Mapping[str, Tensor]:
    torch.manual_seed(3)
    predictions = model.predictions_by_group(batch().inputs, NAMES)
    total = torch.stack([p.square().sum() for own in predictions for p in own.values()]).sum()
    names = [name for name, _ in model.named_parameters() if name != "assignment_logits"]
    weights = [p for name, p in model.named_parameters() if name != "assignment_logits"]
    return dict(zip(names, torch.autograd.grad(total, weights), strict=True))


def test_initial_logits_are_those_of_the_program() -> None:
    assert torch.equal(initial_logits(2, 3, init="ones"), torch.ones(2, 3))
    expected = [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]]
    torch.testing.assert_close(initial_logits(2, 3, init="diagonal"), torch.tensor(expected))
    assert torch.equal(initial_logits(2, 3, init="identity"), torch.eye(2, 3))
    with seeded(0, "x"):
        drawn = initial_logits(200, 50, init="gaussian")
        shifted = initial_logits(200, 50, init="ones", eps=0.5) - 1
    assert float(drawn.mean()) == pytest.approx(1, abs=0.01)
    assert float(drawn.var()) == pytest.approx(0.04, abs=0.002)
    assert float(shifted.min()) >= 0
    assert float(shifted.max()) < 0.5
    assert float(shifted.mean()) == pytest.approx(0.25, abs=0.01)


def test_draws_of_initial_logits_belong_to_the_seed() -> None:
    one, same, other = (
        Grouped(encoder(), TASKS, seed=s, init="gaussian").assignment_logits for s in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_fixed_identity_is_not_trained() -> None:
    model = grouped(3, init="identity")
    assert not model.assignment_logits.requires_grad
    assert model.groups_of(NAMES) == {"a": 0, "b": 1, "c": 2}
    assert model.learned()["group_of"] == {"a": 0, "b": 1, "c": 2}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_groups": 0}, "method.num_groups"),
        ({"num_shared_stages": 3}, "between 0 and 2"),
        ({"num_shared_stages": -1}, "method.num_shared_stages"),
        ({"num_groups": 2, "init": "identity"}, "number of tasks \\(3\\)"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grouped(**settings)


def test_toy_backbones_of_more_groups_than_tasks_are_built() -> None:
    model = Grouped(ToyBackbone(InputSpec("vector", (5,))), TASKS, seed=0, num_groups=7)
    assert len(model.learned()["probabilities"]["a"]) == 7
