"""Search by two levels: what each batch moves, its extremes, and an exact resume."""

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from mtlrun.core.batch import Batch
from mtlrun.core.data import InputSpec
from mtlrun.core.method import StepOutput, StepSettings
from mtlrun.core.model import task_losses
from mtlrun.core.seeding import seeded
from mtlrun.engine.loader import Part, TrainLoader, held_out
from mtlrun.engine.pipeline import run
from mtlrun.engine.schedules import Poly
from mtlrun.methods.dsmtl_al import DSMTLAL
from mtlrun.networks.branch_search import BranchSearch
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.updates.bilevel import Bilevel
from tests.toy import NAMES, ToyBackbone, ToyData, toy_setup

TASKS = ToyData().tasks
PLAIN = partial(ToyBackbone, dropout=0.0)


def encoder(purpose: str = "backbone") -> ToyBackbone:
    with seeded(0, purpose):
        return PLAIN(InputSpec("vector", (5,)))


def search(**settings: Any) -> BranchSearch:
    private = {name: encoder(name) for name in NAMES}
    return BranchSearch(encoder(), private, TASKS, seed=0, **settings)


def batch(first: int = 0) -> Batch:
    return ToyData().split("train").fetch(range(first, first + 8), seed=0)


def losses(model: Any, names: Any = NAMES) -> list[torch.Tensor]:
    of, tasks = batch(), [task for task in TASKS if task.name in names]
    return task_losses(tasks, model(of.inputs, names), of.targets)


def ready(model: BranchSearch, **settings: Any) -> Bilevel:
    rule = Bilevel(**settings)
    rule.setup(model.train(), TASKS, lambda p: torch.optim.SGD(p, lr=0.1), StepSettings())
    return rule


def one_hot(model: BranchSearch, branch: int) -> BranchSearch:
    with torch.no_grad():
        for logits in model.branch_logits.values():
            logits.fill_(-1e4)[branch - 1] = 0.0
    return model


def test_parameters_split_without_overlap_and_shares_sum_to_1() -> None:
    model = search()
    parts = [model.shared_parameters(), *(model.task_parameters(name) for name in NAMES)]
    found = [id(p) for part in parts for p in part]
    assert len(found) == len(set(found)) == len(list(model.parameters()))
    with torch.no_grad():
        for logits in model.branch_logits.values():
            logits.normal_()
    for name in NAMES:
        assert float(model.branch_shares(name).detach().sum()) == pytest.approx(1, abs=1e-6)
    assert float(model.loss_weights().detach().sum()) == pytest.approx(1, abs=1e-6)


def test_the_first_branch_point_is_single_task_training_bit_for_bit() -> None:
    model = one_hot(search(), 1)
    for name, found in zip(NAMES, losses(model), strict=True):
        alone = HardSharing(encoder(name), [TASKS[NAMES.index(name)]], seed=0)
        (expected,) = losses(alone, [name])
        assert torch.equal(found, expected)
        mine = torch.autograd.grad(found, list(model.private[name].parameters()), retain_graph=True)
        theirs = torch.autograd.grad(expected, list(alone.backbone.parameters()))
        assert all(map(torch.equal, mine, theirs))


def test_the_last_branch_point_is_hard_sharing_bit_for_bit() -> None:
    model, shared = one_hot(search(), 3), HardSharing(encoder(), TASKS, seed=0)
    found, expected = losses(model), losses(shared)
    assert torch.equal(torch.stack(found), torch.stack(expected))
    mine = torch.autograd.grad(torch.stack(found).sum(), list(model.public.parameters()))
    theirs = torch.autograd.grad(torch.stack(expected).sum(), list(shared.backbone.parameters()))
    assert all(map(torch.equal, mine, theirs))


def test_like_encoders_make_branch_points_meaningless() -> None:
    alike = {name: encoder() for name in NAMES}
    model = BranchSearch(encoder(), alike, TASKS, seed=0).double().eval()
    of = batch()
    assert isinstance(of.inputs, torch.Tensor)
    inputs = of.inputs.double()
    before = model(inputs, NAMES)
    with torch.no_grad():
        for logits in model.branch_logits.values():
            logits.normal_()
    for name, found in model(inputs, NAMES).items():
        torch.testing.assert_close(found, before[name], rtol=1e-12, atol=1e-14)


def test_modules_run_as_often_as_the_formula_says() -> None:
    model = search()
    rule = ready(model)
    rule.held_out = batch(8)
    scalars = rule.step(batch()).scalars
    positions, tasks = 3, 3
    shared = (positions - 1) + tasks * positions * (positions - 1) // 2
    assert model.shared_stage_passes == shared
    assert scalars["stage_passes"] == 2 * shared
    assert scalars["stage_passes_naive"] == 2 * tasks * positions * (positions - 1)


def test_each_level_moves_on_its_own_batch_only() -> None:
    model = search()
    before = copy.deepcopy(model)
    rule = ready(model, architecture_lr=0.05)
    rule.held_out = batch(8)
    rule.step(batch())
    upper = {id(p) for p in model.architecture()}
    expected = copy.deepcopy(before)
    other = ready(expected, architecture_lr=0.05)
    other.held_out = batch(8)
    other.step(batch(16))
    for (name, mine), theirs in zip(model.named_parameters(), expected.parameters(), strict=True):
        if name.endswith("bias"):  # before batch norm: no gradient
            continue
        assert torch.equal(mine, theirs) == (id(mine) in upper), name
        assert not torch.equal(mine, before.get_parameter(name)), name
        assert mine.requires_grad


def test_the_first_step_of_the_architecture_goes_down_its_gradient() -> None:
    model = search().double()
    of = Batch(
        batch().inputs.double(),  # type: ignore[union-attr]
        {name: target.double() for name, target in batch().targets.items()},
    )
    values = task_losses(TASKS, model.train()(of.inputs, NAMES), of.targets)
    total = (model.loss_weights() * torch.stack(values)).sum()
    gradients = torch.autograd.grad(total, model.architecture())
    before = [p.detach().clone() for p in model.architecture()]
    rule = ready(model, architecture_lr=0.01, architecture_decay=0.0)
    rule.held_out = of
    rule.step(of)
    for was, now, gradient in zip(before, model.architecture(), gradients, strict=True):
        step = -0.01 * gradient / (gradient.abs() + 1e-8)
        torch.testing.assert_close(now.detach() - was, step, rtol=1e-6, atol=1e-12)


def test_weights_of_losses_stay_equal_unless_searched() -> None:
    rule = ready(search(learn_w=False), architecture_lr=0.1)
    rule.held_out = batch(8)
    rule.step(batch())
    learned = rule.model.learned()
    assert learned["weights"] == pytest.approx(dict.fromkeys(NAMES, 1 / 3))
    assert len(rule.architecture) == 3


def test_weights_of_losses_may_move_at_a_rate_of_their_own() -> None:
    moved = {}
    for rate in (None, 0.0, 0.1):
        rule = ready(search(), architecture_lr=0.01, weight_lr=rate, architecture_decay=0.0)
        rule.held_out = batch(8)
        rule.step(batch())
        model = rule.model
        assert isinstance(model, BranchSearch)
        moved[rate] = (model.weight_logits.detach(), model.branch_logits["a"].detach())
    assert torch.equal(moved[0.0][0], torch.zeros(3))
    torch.testing.assert_close(moved[0.1][0], 10 * moved[None][0], rtol=1e-5, atol=0)
    assert torch.equal(moved[0.1][1], moved[None][1])


def test_a_rate_below_0_is_refused() -> None:
    with pytest.raises(ValueError, match="weight_lr = -1"):
        Bilevel(weight_lr=-1.0)


def test_ties_go_to_the_first_branch_point() -> None:
    assert search().learned()["branch_points"] == dict.fromkeys(NAMES, 1)


def test_what_is_held_out_is_never_trained_on() -> None:
    split = ToyData().split("train")
    rest, reserve = held_out(split, 0.2, seed=3)
    assert (len(rest), len(reserve)) == (32, 8)
    assert sorted(rest.indices + reserve.indices) == list(range(40))
    again, _ = held_out(split, 0.2, seed=3)
    assert again.indices == rest.indices
    assert held_out(split, 0.2, seed=4)[0].indices != rest.indices
    one = Part(split, [7, 9]).fetch([1], seed=5)
    assert torch.equal(one.targets["a"], split.fetch([9], seed=5).targets["a"])


@pytest.mark.parametrize("first", [0, 1, 2, 3, 7])
def test_endless_batches_go_on_from_any_step(first: int) -> None:
    loader = TrainLoader(Part(ToyData().split("train"), range(25)), batch_size=8, seed=0)
    whole, later = loader.endless(), loader.endless(first=first)
    for _ in range(first):
        next(whole)
    for _ in range(4):
        one, other = next(whole), next(later)
        assert torch.equal(one.targets["a"], other.targets["a"])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_that_leave_nothing_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="held_out_share"):
        Bilevel(held_out_share=share)
    with pytest.raises(ValueError, match="held_out_share"):
        held_out(ToyData().split("train"), share, seed=0)


def test_a_killed_search_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def setup(name: str) -> Any:
        method = DSMTLAL(architecture_lr=0.02)
        trainer = {"checkpoint_every": 3, "collect_epochs": 2}
        return toy_setup(tmp_path / name, method=method, trainer=trainer, schedule=Poly())

    whole = run(setup("whole"))
    original, counter = Bilevel.step, iter(range(1, 100))

    def dying(self: Bilevel, of: Batch) -> StepOutput:
        if next(counter) == 6:
            raise KeyboardInterrupt
        return original(self, of)

    with monkeypatch.context() as patch:
        patch.setattr(Bilevel, "step", dying)
        with pytest.raises(KeyboardInterrupt):
            run(setup("killed"))
    again = run(setup("killed"))
    assert again.result["plan"] == whole.result["plan"]
    assert again.result["scores"] == whole.result["scores"]


def test_the_plan_names_branch_points_and_weights_and_can_be_edited(tmp_path: Path) -> None:
    first = run(toy_setup(tmp_path, method=DSMTLAL(), phase="collect"))
    settings = first.result["plan"]["settings"]
    assert set(settings) == {"branch_points", "branch_shares", "weights"}
    edited = json.loads((tmp_path / "run" / "plan.json").read_text())
    edited["settings"]["branch_points"] = {"a": 3, "b": 3, "c": 2}
    path = tmp_path / "edited.json"
    path.write_text(json.dumps(edited))
    other = run(toy_setup(tmp_path / "other", method=DSMTLAL(), plan=path))
    (training,) = other.result["trainings"]
    assert training["learned"]["branch_points"] == {"a": 3, "b": 3, "c": 2}
    assert training["learned"]["alpha"]["a"] is None
    sizes = [sum(p.numel() for p in stage.parameters()) for stage in encoder().stages]
    assert training["num_parameters"] == sum(sizes) + sizes[1] + 3 * 9 + 1
    del edited["settings"]["weights"]
    path.write_text(json.dumps(edited))
    with pytest.raises(ValueError, match="should hold `weights`"):
        run(toy_setup(tmp_path / "third", method=DSMTLAL(), plan=path))


def test_the_search_tells_its_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(toy_setup(tmp_path / "plain", method=DSMTLAL()))
    said = capsys.readouterr().err
    assert "Search: 11 encoder modules run in a pass of all tasks; 18 " in said


def test_a_dry_run_passes_both_phases(tmp_path: Path) -> None:
    run(toy_setup(tmp_path, method=DSMTLAL(), dry_run=True))


def test_evaluations_choose_nothing_of_the_search(tmp_path: Path) -> None:
    choosy: dict[str, Any] = {"select": "best_val", "patience": 1}
    searches = []
    for name, trainer in (("last", {}), ("best", choosy)):
        setup = toy_setup(tmp_path / name, method=DSMTLAL(), make_backbone=PLAIN, trainer=trainer)
        found = run(setup).result["trainings"]
        searches += [training for training in found if training["phase"] == "collect"]
    last, best = searches
    assert best["key"] == last["key"]
    assert best["num_steps"] == last["num_steps"]
    assert best["learned"] == last["learned"]
