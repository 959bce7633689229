"""Training in all groups at once: its extremes, what each loss moves, and an exact resume."""

import copy
import inspect
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from mtlrun.core.batch import Batch, TaskName
from mtlrun.core.data import InputSpec
from mtlrun.core.method import DivergedError, StepOutput, StepSettings, UpdateRule
from mtlrun.core.model import MultiTaskModel, task_losses
from mtlrun.core.seeding import generator_for, seeded
from mtlrun.networks.grouped import Grouped
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.updates._assignment import Sample, binary_entropy, gumbel_noise, shares
from mtlrun.updates.joint import Joint
from mtlrun.updates.one_shot import OneShot
from mtlrun.weightings.equal import Equal
from tests.toy import NAMES, ToyBackbone, ToyData

TASKS = ToyData().tasks
SAMPLES: tuple[Sample, ...] = get_args(Sample)
MIXING = [sample for sample in SAMPLES if sample != "diagonal"]
PER_BATCH = [sample for sample in MIXING if sample != "batch_gumbel"]


def encoder(dropout: float = 0.1) -> ToyBackbone:
    with seeded(0, "backbone"):
        return ToyBackbone(InputSpec("vector", (5,)), dropout=dropout)


def grouped(num_groups: int = 3, *, dropout: float = 0.1, **settings: Any) -> Grouped:
    return Grouped(encoder(dropout), TASKS, seed=0, num_groups=num_groups, **settings).double()


def hard_sharing(names: Sequence[TaskName] = NAMES, *, dropout: float = 0.1) -> HardSharing:
    tasks = [task for task in TASKS if task.name in names]
    return HardSharing(encoder(dropout), tasks, seed=0).double()


def batch(step: int = 0, *, own: bool = False) -> Batch:
    """Five batches in turn; with inputs that differ from task to task if asked for."""
    places = [8 * (step % 5) + k for k in range(8)]
    found = ToyData().split("train").fetch(places, seed=step).map(lambda tensor: tensor.double())
    if not own:
        return found
    assert isinstance(found.inputs, Tensor)
    inputs = {name: found.inputs[: 8 - k] + k for k, name in enumerate(NAMES)}
    return Batch(inputs, {name: found.targets[name][: len(inputs[name])] for name in NAMES})


def test_a_protocol_finds_what_it_asks_for_on_every_python() -> None:
    # from Python 3.12 on, isinstance looks past __getattr__, by which a module gives its parameters
    for name in ("num_groups", "logits", "predictions_by_group"):
        assert inspect.getattr_static(grouped(), name) is not None


def ready(
    rule: UpdateRule, model: MultiTaskModel, *, lr: float = 0.02, **settings: Any
) -> UpdateRule:
    def make(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=lr)

    rule.setup(model.train(), model.tasks, make, StepSettings(**settings))
    return rule


def rule_of(model: MultiTaskModel, *, lr: float = 0.02, **settings: Any) -> UpdateRule:
    return ready(OneShot(seed=0, **settings), model, lr=lr)


def taken(rule: UpdateRule, steps: int, *, own: bool = False) -> list[dict[TaskName, Tensor]]:
    torch.manual_seed(7)
    return [dict(rule.step(batch(step, own=own)).losses) for step in range(steps)]


def same(ones: Iterable[Tensor], others: Iterable[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


def states(model: MultiTaskModel, *prefixes: str) -> list[Tensor]:
    known = model.state_dict()
    return [known[name] for name in known if name.startswith(prefixes)]


@pytest.mark.parametrize("own", [False, True], ids=["same", "own"])
@pytest.mark.parametrize("sample", PER_BATCH)
def test_one_group_is_hard_sharing_bit_for_bit(sample: Sample, own: bool) -> None:
    model, expected = grouped(1, grad_scale="code", num_shared_stages=1), hard_sharing()
    found = taken(rule_of(model, sample=sample), 20, own=own)
    known = taken(ready(Joint(Equal()), expected), 20, own=own)
    assert found == known
    parts = ("shared", "encoders", "heads")
    for one, other in zip(
        states(model, *parts), states(expected, "backbone", "heads"), strict=True
    ):
        assert torch.equal(one, other)
    assert torch.equal(model.assignment_logits, torch.ones(3, 1).double())


@pytest.mark.parametrize("own", [False, True], ids=["same", "own"])
def test_one_group_of_losses_of_examples_is_hard_sharing(own: bool) -> None:
    model, expected = grouped(1), hard_sharing()
    taken(rule_of(model, sample="batch_gumbel"), 20, own=own)
    taken(ready(Joint(Equal()), expected), 20, own=own)
    pairs = zip(
        states(model, "encoders", "heads"), states(expected, "backbone", "heads"), strict=True
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("own", [False, True], ids=["same", "own"])
@pytest.mark.parametrize("num_groups", [3, 4])
def test_a_group_for_every_task_is_single_task_learning_bit_for_bit(
    num_groups: int, own: bool
) -> None:
    model = grouped(num_groups, dropout=0.0, init="identity")
    found = taken(rule_of(model, sample="diagonal"), 20, own=own)
    for k, name in enumerate(NAMES):
        alone = hard_sharing([name], dropout=0.0)
        known = taken(ready(Joint(Equal()), alone), 20, own=own)
        assert [losses[name] for losses in found] == [losses[name] for losses in known]
        parts = states(model, f"encoders.{k}.", f"heads.{k}.{name}.")
        assert same(parts, alone.state_dict().values())


def test_what_is_shared_receives_the_sum_where_every_task_has_a_group() -> None:
    model = grouped(3, dropout=0.0, init="identity", num_shared_stages=1)
    rule_of(model, sample="diagonal", lr=0.0).step(batch())
    parts = []
    for name in NAMES:
        alone = hard_sharing([name], dropout=0.0)
        ready(Joint(Equal()), alone, lr=0.0).step(batch())
        parts.append(torch.cat([own(p).reshape(-1) for p in alone.backbone.stages[0].parameters()]))
    found = torch.cat([own(p).reshape(-1) for p in model.shared.parameters()])
    torch.testing.assert_close(found, torch.stack(parts).sum(0), rtol=1e-12, atol=1e-14)


def own(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


@pytest.mark.parametrize("num_groups", [2, 3])
@pytest.mark.parametrize("sample", PER_BATCH)
def test_each_group_is_moved_by_each_loss_times_its_share(sample: Sample, num_groups: int) -> None:
    model = grouped(num_groups, dropout=0.0)
    apart(model)
    fresh = copy.deepcopy(model).train()
    output = rule_of(model, sample=sample, tau=0.7, lr=0.0).step(batch())
    weights = drawn(fresh, sample)
    predictions = fresh.predictions_by_group(batch().inputs, NAMES)
    rows = [task_losses(TASKS, by_task, batch().targets) for by_task in predictions]
    for k, losses in enumerate(rows):
        parameters = list(fresh.encoders[k].parameters())
        gradients = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses]
        for place, parameter in enumerate(model.encoders[k].parameters()):
            expected = sum(weights[n, k].detach() * gradients[n][place] for n in range(3))
            torch.testing.assert_close(own(parameter), expected, rtol=1e-11, atol=1e-14)
    table = torch.stack([torch.stack(row) for row in rows], dim=1)
    expected_losses = (weights * table).sum(1)
    found = torch.stack([output.losses[name] for name in NAMES])
    torch.testing.assert_close(found, expected_losses.detach(), rtol=1e-12, atol=0)
    (at_logits,) = torch.autograd.grad(expected_losses.sum(), fresh.assignment_logits)
    torch.testing.assert_close(own(model.assignment_logits), at_logits, rtol=1e-9, atol=1e-13)


def apart(model: Grouped) -> None:
    """Gives every group weights of its own, and the logits values."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


def drawn(model: Grouped, sample: Sample) -> Tensor:
    """Z of the first step at temperature 0.7, with the graph that leads to it."""
    logits = model.assignment_logits
    if sample == "softmax":
        return logits.softmax(1)
    if sample == "softmax_tau":
        return (logits / 0.7).softmax(1)
    noise = gumbel_noise(logits.shape, generator_for(0, "assignment/0"))
    return ((logits + noise) / 0.7).softmax(1)


def test_twice_the_share_is_twice_the_gradient() -> None:
    """Of a group's encoder with respect to one task's loss; other tasks are of no weight."""
    found = []
    for share in (0.2, 0.4):
        model = grouped(2, dropout=0.0)
        set_shares(model, [[share, 1 - share], [0, 1], [0, 1]])
        rule_of(model, sample="softmax", lr=0.0).step(batch())
        found.append(torch.cat([own(p).reshape(-1) for p in model.encoders[0].parameters()]))
    torch.testing.assert_close(found[1], 2 * found[0], rtol=1e-9, atol=1e-13)


def test_one_hot_rows_leave_other_groups_exactly_no_gradient() -> None:
    model = grouped(3, dropout=0.0)
    apart(model)
    set_shares(model, [[1, 0, 0], [1, 0, 0], [0, 1, 0]])
    rule_of(model, sample="softmax", lr=0.0).step(batch())
    assert all(own(p).any() for k in (0, 1) for p in (*model.encoders[k].stages[1].parameters(),))
    assert not any(own(p).any() for p in model.encoders[2].parameters())
    assert not any(own(p).any() for k in (1, 2) for p in model.heads[k]["a"].parameters())  # type: ignore[index]  # of a ModuleDict
    assert not any(own(p).any() for p in model.heads[0]["c"].parameters())  # type: ignore[index]  # of a ModuleDict


def set_shares(model: Grouped, rows: Sequence[Sequence[float]]) -> None:
    """Logits whose softmax is given; 0 is exact."""
    with torch.no_grad():
        table = torch.tensor(rows, dtype=torch.float64)
        model.assignment_logits.copy_(torch.where(table > 0, table.log(), -1e4))


@pytest.mark.parametrize("sample", MIXING)
def test_the_first_step_leaves_the_logits_exactly_where_they_are(sample: Sample) -> None:
    model = grouped(4, dropout=0.0)
    rule = rule_of(model, sample=sample)
    rule.step(batch(0))
    assert not own(model.assignment_logits).any()
    assert torch.equal(model.assignment_logits, torch.ones(3, 4).double())
    rule.step(batch(1))
    noisy = sample not in {"softmax", "softmax_tau"}  # without noise nothing parts the groups
    assert bool(own(model.assignment_logits).any()) == noisy


def test_groups_can_be_renumbered() -> None:
    model, order = grouped(3, dropout=0.0), [2, 0, 1]
    apart(model)
    other = copy.deepcopy(model)
    for k, old in enumerate(order):
        other.encoders[k].load_state_dict(model.encoders[old].state_dict())
        other.heads[k].load_state_dict(model.heads[old].state_dict())
    with torch.no_grad():
        other.assignment_logits.copy_(model.assignment_logits[:, order])
    one, two = (rule_of(own_, sample="softmax").step(batch()) for own_ in (model, other))
    for name in NAMES:
        torch.testing.assert_close(two.losses[name], one.losses[name], rtol=1e-13, atol=0)
    moved = model.assignment_logits[:, order]
    torch.testing.assert_close(other.assignment_logits, moved, rtol=1e-9, atol=0)


def test_every_example_has_an_assignment_of_its_own() -> None:
    model = grouped(3, dropout=0.0)
    apart(model)
    fresh = copy.deepcopy(model).train()
    output = rule_of(model, sample="batch_gumbel", tau=0.7, lr=0.0).step(batch())
    generator = generator_for(0, "assignment/0")
    predictions = fresh.predictions_by_group(batch().inputs, NAMES)
    for n, name in enumerate(NAMES):
        weights = shares(fresh.assignment_logits[n], tau=0.7, noise=gumbel_noise((8, 3), generator))
        errors = [(by_task[name] - batch().targets[name]).square()[:, 0] for by_task in predictions]
        expected = (weights * torch.stack(errors, dim=1)).sum(1).mean()
        torch.testing.assert_close(output.losses[name], expected.detach(), rtol=1e-12, atol=0)


def test_entropy_adds_to_the_gradient_of_the_logits_alone() -> None:
    plain, own_ = grouped(3, dropout=0.0), grouped(3, dropout=0.0)
    for model in (plain, own_):
        apart(model)
    rule_of(plain, lr=0.0).step(batch())
    rule_of(own_, lr=0.0, entropy_weight=1.2).step(batch())
    logits = own_.assignment_logits.detach().clone().requires_grad_()
    (expected,) = torch.autograd.grad(1.2 * binary_entropy(logits), logits)
    difference = own(own_.assignment_logits) - own(plain.assignment_logits)
    torch.testing.assert_close(difference, expected, rtol=1e-10, atol=1e-14)
    pairs = zip(plain.encoders.parameters(), own_.encoders.parameters(), strict=True)
    assert all(torch.equal(own(one), own(other)) for one, other in pairs)


@pytest.mark.parametrize("sample", SAMPLES)
def test_forty_steps_lower_every_loss(sample: Sample) -> None:
    init = "identity" if sample == "diagonal" else "gaussian"
    model = grouped(3, dropout=0.0, init=init)
    before, rule = evaluated(model), rule_of(model, sample=sample)
    start = model.assignment_logits.detach().clone()
    taken(rule, 40)
    after = evaluated(model)
    assert all(b < a for a, b in zip(before, after, strict=True)), (before, after)
    assert torch.equal(model.assignment_logits, start) == (sample == "diagonal")


def evaluated(model: Grouped) -> list[float]:
    of = ToyData().split("train").fetch(range(40), seed=0).map(lambda tensor: tensor.double())
    with torch.no_grad():
        found = task_losses(TASKS, model.eval()(of.inputs, NAMES), of.targets)
    model.train()
    return [float(loss) for loss in found]


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_resumed_training_goes_on_bit_for_bit(sample: Sample) -> None:
    settings: dict[str, Any] = {"sample": sample, "tau_schedule": "exp", "tau_end": 0.5}
    init = "identity" if sample == "diagonal" else "ones"

    def begun() -> tuple[UpdateRule, Grouped]:
        model = grouped(3, init=init)
        rule = rule_of(model, **settings)
        rule.num_steps = 20
        return rule, model

    def go_on(rule: UpdateRule, first: int, last: int) -> StepOutput:
        for step in range(first, last):
            output = rule.step(batch(step))
        return output

    torch.manual_seed(7)
    rule, expected = begun()
    known = go_on(rule, 0, 20)
    torch.manual_seed(7)
    rule, model = begun()
    go_on(rule, 0, 10)
    buffer = io.BytesIO()
    torch.save([model.state_dict(), rule.state_dict(), torch.get_rng_state()], buffer)
    buffer.seek(0)
    weights, state, random = torch.load(buffer, weights_only=True)
    torch.manual_seed(99)
    rule, model = begun()
    model.load_state_dict(weights)
    rule.load_state_dict(state)
    torch.set_rng_state(random)
    found = go_on(rule, 10, 20)
    assert found.losses == known.losses
    assert found.scalars == known.scalars
    assert same(states(model, ""), states(expected, ""))


def test_the_temperature_moves_from_the_first_step_to_the_last() -> None:
    rule = rule_of(grouped(2), tau=4.0, tau_schedule="linear", tau_end=1.0)
    rule.num_steps = 4
    found = [rule.step(batch(step)).scalars["tau"] for step in range(5)]
    assert found == [4, 3, 2, 1, 1]


def test_groups_that_no_task_is_in_go_on_without_harm() -> None:
    model = grouped(3)
    set_shares(model, [[0, 1, 0]] * 3)
    rule = rule_of(model, tau=0.5, entropy_weight=1.2)
    taken(rule, 10)
    assert model.groups_of(NAMES) == dict.fromkeys(NAMES, 1)
    assert all(value.isfinite().all() for value in states(model, ""))
    assert all(map(math.isfinite, evaluated(model)))


@pytest.mark.parametrize("sample", SAMPLES)
def test_half_precision_is_of_the_forward_passes_only(sample: Sample) -> None:
    init = "identity" if sample == "diagonal" else "ones"
    model = Grouped(encoder(), TASKS, seed=0, num_groups=3, init=init)
    rule = ready(OneShot(seed=0, sample=sample), model, precision="bf16")
    for step in range(3):
        output = rule.step(batch(step).map(lambda tensor: tensor.float()))
    assert {loss.dtype for loss in output.losses.values()} == {torch.float32}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert all(loss.isfinite() for loss in output.losses.values())


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named_and_moves_nothing(sample: Sample, value: float) -> None:
    init = "identity" if sample == "diagonal" else "ones"
    model = grouped(3, init=init)
    rule, of = rule_of(model, sample=sample), batch()
    weights = [p.clone() for p in model.parameters()]
    of.targets["b"][0] = value
    with pytest.raises(DivergedError, match="task `b` should be finite"):
        rule.step(of)
    assert same(weights, model.parameters())


def test_the_log_tells_every_tasks_probabilities() -> None:
    model = grouped(2)
    apart(model)
    expected = model.assignment_logits.detach().softmax(1)
    scalars = rule_of(model).step(batch()).scalars
    for n, name in enumerate(NAMES):
        for k in range(2):
            assert torch.equal(torch.as_tensor(scalars[f"assignment/{name}/{k}"]), expected[n, k])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tau": 0.0}, "method.tau"),
        ({"tau_end": -1.0}, "method.tau_end"),
        ({"tau": float("inf")}, "finite and above 0"),
        ({"tau_schedule": "exp"}, "without it"),
        ({"entropy_weight": -0.1}, "method.entropy_weight"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OneShot(seed=0, **settings)
