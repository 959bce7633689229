"""Steps by evidence lower bounds: schedules, order, optimizers, limits, exact resume."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from mtlrun.backbones.latent import Latent
from mtlrun.core.method import DivergedError, StepSettings
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.networks.vmtl import VMTL
from mtlrun.updates.joint import Joint
from mtlrun.updates.variational import Divergences, Temperature, Variational
from mtlrun.weightings.equal import Equal
from tests.domains import ADAM, Steps, batch_of, domains, network
from tests.states import is_same, through_a_file

DATA = domains()
NAMES = [task.name for task in DATA.tasks]
NONE = Divergences(z=0.0, w=0.0)
PLAIN = Divergences(z=1.0, w=1.0, w_schedule="constant")
SGD = partial(torch.optim.SGD, lr=0.01)
POINTS = {"prior": "normal", "bayesian_z": False, "bayesian_w": False}
METHODS: dict[str, dict[str, Any]] = {
    "vmtl": {},
    "vmtl_ac": {"classifier": "amortized"},
    "vbmtl": {"prior": "normal"},
    "bmtl": POINTS,
    "vstl": {"prior": "normal"},
}


def test_temperatures_are_those_of_the_released_program() -> None:
    # algorithms.md 10.4: four tasks; .887 at 1000 batches, .698 at 2000, .5 from 3000 on
    at = partial(Temperature().at, num_tasks=4)
    assert at(0) == at(999) == 1.0
    assert at(1000) == at(1999) == pytest.approx(0.887, abs=5e-4)
    assert at(2000) == pytest.approx(0.698, abs=5e-4)
    assert at(3000) == at(15_000) == 0.5
    assert Temperature(repeats=1).at(1000, num_tasks=4) == pytest.approx(0.9704, abs=5e-5)
    assert Temperature(rate=0.0).at(10_000, num_tasks=4) == 1.0


def test_weights_of_divergences_are_those_of_the_released_program() -> None:
    linear = Divergences()
    assert linear.of_w(0) == linear.of_w(9) == 0.0
    assert linear.of_w(10) == linear.of_w(19) == pytest.approx(4e-6)
    assert linear.of_w(15_000) == pytest.approx(6e-3)
    assert PLAIN.of_w(0) == PLAIN.of_w(500) == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Divergences(z=-1.0), "method.divergences"),
        (lambda: Divergences(w_every=0), "method.divergences"),
        (lambda: Divergences(w=float("nan")), "method.divergences"),
        (lambda: Temperature(start=0.1), "method.temperature"),
        (lambda: Temperature(repeats=0), "method.temperature"),
        (lambda: Temperature(floor=0.0), "method.temperature"),
        (lambda: Variational(order="joint", per_task_optimizers=True), "method.order=per_task"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_step_tells_temperature_weights_and_divergences() -> None:
    steps = Steps(DATA, network(DATA), Variational(divergences=Divergences(w_every=1)))
    found = steps.take(0, 3)
    assert [out.scalars["kl_w_weight"] for out in found] == pytest.approx([0.0, 4e-7, 8e-7])
    assert all(out.scalars["temperature"] == 1.0 for out in found)
    assert {f"kl_{part}/{name}" for part in "zw" for name in NAMES} < set(found[2].scalars)
    assert list(found[0].losses) == NAMES


def test_only_the_first_step_has_simple_priors(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = network(DATA), []
    evidence = model.evidence

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs["first"])
        return evidence(*args, **kwargs)

    monkeypatch.setattr(model, "evidence", watched)
    Steps(DATA, model, Variational(order="joint")).take(0, 3)
    assert seen == [True, False, False]


def reference_step(model: VMTL, batch: Any, order: str, optimizer: torch.optim.Optimizer) -> None:
    """One batch after the first, written out; draws in the order of the rule's."""
    batch, attention = model.prepared(batch)
    turns = [NAMES] if order == "joint" else [[name] for name in NAMES]
    for names in turns:
        optimizer.zero_grad()
        logits, of_z, of_w = model.evidence(batch, names, attention=attention, temperature=1.0)
        total = torch.zeros((), dtype=torch.float64)
        for k, name in enumerate(names):
            logs = logits[:, k].log_softmax(-1)
            labels = batch.targets[name]
            loss = -sum(row[range(len(labels)), labels].mean() for row in logs) / len(logs)
            total = total + loss + of_w[k] + of_z[k]
        (total / len(names)).backward()
        optimizer.step()


@pytest.mark.parametrize("order", ["per_task", "joint"])
def test_a_step_is_the_bound_written_out(order: Any) -> None:
    rule, model, expected = (
        Variational(divergences=PLAIN, order=order), network(DATA), network(DATA),
    )  # fmt: skip
    steps = Steps(DATA, model, rule, SGD)
    rule.load_state_dict(rule.state_dict() | {"step": 1})
    torch.manual_seed(0)
    steps.take(0, 2)
    optimizer = SGD(expected.parameters())
    torch.manual_seed(0)
    for step in (0, 1):
        reference_step(expected, batch_of(DATA, seed=step), order, optimizer)
    for name, p in expected.named_parameters():
        torch.testing.assert_close(dict(model.named_parameters())[name], p, rtol=1e-9, atol=1e-12)


def test_schedules_begin_at_the_first_step_of_a_training_of_any_length() -> None:
    rule = Variational(temperature=Temperature(every=1, rate=0.1))
    steps = Steps(DATA, network(DATA), rule, SGD)
    rule.num_steps = 1000  # as a training tells its rule
    told = [rule.step(batch_of(DATA, seed=seed)).scalars for seed in range(2)]
    assert steps.rule is rule
    assert told[0]["temperature"] == 1
    assert told[0]["kl_w_weight"] == 0
    assert told[1]["temperature"] == pytest.approx(math.exp(-0.1 * len(NAMES)))


def test_all_tasks_together_take_another_way_than_in_turn() -> None:
    found = []
    for order in ("per_task", "joint"):
        torch.manual_seed(0)
        steps = Steps(DATA, network(DATA, **POINTS), Variational(order=order), SGD)  # type: ignore[arg-type]  # by the loop
        steps.take(0, 1)
        found.append(steps.weights())
    assert not torch.equal(found[0]["z_net.last.mean"], found[1]["z_net.last.mean"])


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("begin", [0.0, 1.0])
def test_without_divergences_logits_move_by_weight_decay_alone(decay: float, begin: float) -> None:
    model = network(DATA)
    for mixing in model.mixing.values():
        for logits in mixing.logits.values():  # type: ignore[union-attr,operator]  # of MixingWeights
            nn.init.constant_(logits, begin)
    steps = Steps(
        DATA,
        model,
        Variational(divergences=NONE),
        partial(torch.optim.SGD, lr=0.1, weight_decay=decay),
    )
    steps.take(0, 4)
    expected = begin * (1 - 0.1 * decay) ** 3  # in the own turn alone, and not in the first step
    for name, p in model.named_parameters():
        if name.startswith("mixing"):
            torch.testing.assert_close(p, torch.full_like(p, expected), rtol=1e-12, atol=0)


@pytest.mark.parametrize("weights", [PLAIN, Divergences()])
def test_with_divergences_logits_move(weights: Divergences) -> None:
    model = network(DATA)
    Steps(DATA, model, Variational(divergences=weights)).take(0, 12)
    assert all(p.any() for name, p in model.named_parameters() if name.startswith("mixing"))


def test_without_divergences_and_variances_steps_are_those_of_bmtl() -> None:
    random, points = network(DATA), network(DATA, **POINTS)
    with torch.no_grad():
        for name, p in random.named_parameters():
            if name.endswith("rho"):
                p.fill_(-300.0)  # deviations of 1e-130
    points.load_state_dict(random.state_dict(), strict=False)
    one = Steps(DATA, random, Variational(divergences=NONE))
    other = Steps(DATA, points, Variational())
    for a, b in zip(one.take(0, 20), other.take(0, 20), strict=True):
        for name in NAMES:
            torch.testing.assert_close(a.losses[name], b.losses[name], rtol=1e-9, atol=0)
    for name, p in points.named_parameters():
        torch.testing.assert_close(dict(random.named_parameters())[name], p, rtol=1e-7, atol=1e-9)


def test_bmtl_trains_as_hard_sharing_does_with_the_same_weights() -> None:
    points = network(DATA, **POINTS)
    shared = HardSharing(Latent(DATA.inputs, latent=5, hidden=7, dropout=0.0), DATA.tasks, seed=0)
    shared.double().train()
    linear = [m for m in shared.backbone.modules() if isinstance(m, nn.Linear)]
    first, second = (m for m in points.z_net.layers if isinstance(m, nn.Linear))
    last = points.z_net.last
    with torch.no_grad():
        for layer, (weight, bias) in zip(
            linear,
            [(first.weight, first.bias), (second.weight, second.bias), (last.mean, last.bias)],
            strict=True,
        ):
            layer.weight.copy_(weight)
            assert bias is not None
            layer.bias.copy_(bias)
        for name in NAMES:
            head: Any = shared.heads[name]
            own: Any = points.classifiers.own[name]  # type: ignore[union-attr,index]  # of OwnClassifiers
            head.bias = None
            head.weight.copy_(own.mean)
    steps, rule = Steps(DATA, points, Variational(order="joint")), Joint(Equal(reduction="mean"))
    rule.setup(shared, DATA.tasks, ADAM, StepSettings())
    for step in range(10):
        (found,) = steps.take(step, step + 1)
        expected = rule.step(batch_of(DATA, seed=step))
        for name in NAMES:
            torch.testing.assert_close(
                found.losses[name], expected.losses[name], rtol=1e-9, atol=1e-12
            )
    torch.testing.assert_close(linear[0].weight, first.weight, rtol=1e-7, atol=1e-9)


def test_every_task_has_an_optimizer_if_asked_for() -> None:
    model = network(DATA)
    steps = Steps(DATA, model, Variational(per_task_optimizers=True))
    steps.take(0, 5)
    shared = model.z_net.last.mean
    states = [optimizer.state[shared] for optimizer in steps.rule.optimizers]
    assert len(states) == 3
    assert all(float(state["step"]) == 5 for state in states)  # of one optimizer: 15
    assert not torch.equal(states[0]["exp_avg"], states[1]["exp_avg"])
    for optimizer, task in zip(steps.rule.optimizers, NAMES, strict=True):
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        assert held == {id(p) for p in [*model.shared_parameters(), *model.task_parameters(task)]}
    one = Steps(DATA, network(DATA), Variational())
    one.take(0, 5)
    assert len(one.rule.optimizers) == 1
    assert float(one.rule.optimizers[0].state[one.model.z_net.last.mean]["step"]) == 15


@pytest.mark.parametrize("name", ["vmtl", "vbmtl", "bmtl"])
def test_a_tasks_own_parameters_move_in_its_turn_alone(name: str) -> None:
    model = network(DATA, **METHODS[name])
    steps = Steps(DATA, model, Variational(), partial(torch.optim.Adam, lr=0.01, weight_decay=0.1))
    steps.take(0, 5)
    state = steps.rule.optimizers[0].state
    for task in NAMES:
        for p in model.task_parameters(task):
            logits = any(p is own for own in model.mixing.parameters())
            assert float(state[p]["step"]) == (4 if logits else 5)  # no logits in the first step


@pytest.mark.parametrize("per_task_optimizers", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_training_goes_on_bit_for_bit(name: str, per_task_optimizers: bool) -> None:
    data = domains(num_domains=1) if name == "vstl" else DATA
    rule = partial(
        Variational,
        divergences=Divergences(w=1e-3, z=1e-3),
        temperature=Temperature(every=10, rate=1e-3),
        per_task_optimizers=per_task_optimizers,
    )

    def begun() -> Steps:
        return Steps(data, network(data, dropout=0.3, **METHODS[name]), rule())

    def state(of: Steps) -> Any:
        return {
            "model": of.model.state_dict(), "rule": of.rule.state_dict(),
            "random": torch.get_rng_state(),
        }  # fmt: skip

    torch.manual_seed(0)
    straight, first = begun(), begun()
    straight.take(0, 40)
    expected = state(straight)
    torch.manual_seed(0)
    first.take(0, 20)
    saved = through_a_file(state(first))
    torch.manual_seed(99)
    second = begun()
    second.model.load_state_dict(saved["model"])
    second.rule.load_state_dict(saved["rule"])
    torch.set_rng_state(saved["random"])
    second.take(20, 40)
    assert is_same(state(second), expected)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("pairing", ["paired", "product"])
def test_forty_steps_lower_every_loss(name: str, pairing: str) -> None:
    torch.manual_seed(0)
    steps = Steps(DATA, network(DATA, pairing=pairing, **METHODS[name]), Variational())
    (before, *_, after) = steps.take(0, 40)
    assert all(after.losses[task] < before.losses[task] for task in NAMES)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("pairing", ["paired", "product"])
def test_bf16_steps_lower_every_loss_and_keep_float32(name: str, pairing: str) -> None:
    torch.manual_seed(0)
    model = network(DATA, pairing=pairing, **METHODS[name]).float()
    steps = Steps(DATA, model, Variational(), settings=StepSettings(precision="bf16"))
    (before, *_, after) = steps.take(0, 40)
    assert all(after.losses[task] < before.losses[task] for task in NAMES)
    assert all(after.losses[task].dtype == torch.float32 for task in NAMES)
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_bf16_losses_are_near_those_of_float32() -> None:
    found = []
    for precision in ("fp32", "bf16"):
        model = network(DATA, latent=64, hidden=64, num_z=200, num_w=200).float()
        torch.manual_seed(0)
        steps = Steps(DATA, model, Variational(), SGD, settings=StepSettings(precision=precision))  # type: ignore[arg-type]  # by the loop
        found.append(torch.stack(list(steps.take(0, 2)[1].losses.values())))
    torch.testing.assert_close(found[1], found[0], rtol=0.05, atol=0)


def test_a_loss_that_is_not_finite_names_its_task() -> None:
    model = network(DATA)
    with torch.no_grad():
        model.classifiers.own["domain_1"].mean.fill_(float("nan"))  # type: ignore[union-attr,index,operator]  # of OwnClassifiers
    with pytest.raises(DivergedError, match="domain_1"):
        Steps(DATA, model, Variational()).take(0, 1)
