"""DSMTL through the engine: its two extremes, and what stage 2 leaves alone."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtlrun.core.method import Lab, Method
from mtlrun.engine.lab import Workbench
from mtlrun.engine.pipeline import Outcome, run
from mtlrun.engine.progress import Speaker
from mtlrun.methods._dsmtl import make_dsmtl
from mtlrun.methods._groups import make_model
from mtlrun.methods.dsmtl_il import DSMTLIL, load_single_task
from mtlrun.methods.dsmtl_jl import DSMTLJL
from mtlrun.methods.hps import HPS
from mtlrun.methods.single_task import SingleTask
from tests.toy import NAMES, ToyBackbone, toy_setup

State = dict[str, Tensor]
PLAIN = partial(ToyBackbone, dropout=0.0)  # masks are drawn in another order with more encoders


def outcome(folder: Path, name: str, method: Method, **others: Any) -> Outcome:
    others = {"make_backbone": PLAIN} | others
    setup = toy_setup(folder / name, method=method, store=folder / "store", **others)
    return run(setup)


def state(folder: Path, found: Outcome, tasks: str) -> State:
    keys = [t["key"] for t in found.result["trainings"] if "+".join(t["tasks"]) == tasks]
    return dict(torch.load(folder / "store" / keys[-1] / "model.pt", weights_only=True))


def part(of: State, prefix: str) -> State:
    return {k.removeprefix(prefix): v for k, v in of.items() if k.startswith(prefix)}


def same(one: State, other: State) -> bool:
    return set(one) == set(other) and all(torch.equal(one[k], other[k]) for k in one)


def begun(setup: Any) -> Lab:
    return Workbench(setup, Speaker(quiet=True))


def test_gates_at_0_train_the_single_task_models_bit_for_bit(tmp_path: Path) -> None:
    alone = outcome(tmp_path, "alone", SingleTask())
    closed = outcome(tmp_path, "jl", DSMTLJL(alpha_init=0.0, learnable_gate=False))
    found = state(tmp_path, closed, "a+b+c")
    for name in NAMES:
        expected = state(tmp_path, alone, name)
        assert same(part(found, f"private.{name}."), part(expected, "backbone."))
        assert same(part(found, f"heads.{name}."), part(expected, f"heads.{name}."))
    with torch.no_grad():
        fresh = make_dsmtl(begun(toy_setup(tmp_path, make_backbone=PLAIN)), NAMES)
    weights = dict(fresh.public.named_parameters())
    assert all(torch.equal(found[f"public.{k}"], v) for k, v in weights.items())
    assert closed.result["scores"] == alone.result["scores"]


def test_gates_at_1_train_the_hard_sharing_model_bit_for_bit(tmp_path: Path) -> None:
    shared = outcome(tmp_path, "hps", HPS())
    open_ = outcome(tmp_path, "jl", DSMTLJL(alpha_init=1.0, learnable_gate=False))
    found, expected = state(tmp_path, open_, "a+b+c"), state(tmp_path, shared, "a+b+c")
    assert same(part(found, "public."), part(expected, "backbone."))
    assert same(part(found, "heads."), part(expected, "heads."))
    assert open_.result["scores"] == shared.result["scores"]


def test_stage_2_finds_the_single_task_trainings_in_the_store(tmp_path: Path) -> None:
    alone = outcome(tmp_path, "alone", SingleTask())
    staged = outcome(tmp_path, "il", DSMTLIL())
    keys = {t["key"] for t in alone.result["trainings"]}
    reused = {t["key"] for t in staged.result["trainings"] if t["reused"]}
    assert reused == keys
    assert staged.result["single_task"] is not None


def test_stage_2_begins_at_the_losses_of_stage_1_where_alpha_is_0(tmp_path: Path) -> None:
    alone = outcome(tmp_path, "alone", SingleTask(), make_backbone=ToyBackbone)
    setup = toy_setup(tmp_path / "il", store=tmp_path / "store")
    lab = begun(setup)
    model = make_dsmtl(lab, NAMES, alpha_init=0.0, frozen=True)
    for name, fitted in SingleTask().references(lab).items():
        load_single_task(model, name, fitted)
    batch = setup.data.split("val").fetch(range(16), seed=0)
    predictions = model.train()(batch.inputs, NAMES)
    for task in setup.data.tasks:
        loss = task.loss(predictions[task.name], batch.targets[task.name])
        stl = make_single(lab, task.name, state(tmp_path, alone, task.name))
        expected = task.loss(stl(batch.inputs, [task.name])[task.name], batch.targets[task.name])
        assert torch.equal(loss, expected)


def make_single(lab: Lab, name: str, weights: State) -> Any:
    model = make_model(lab, [name])
    model.load_state_dict(weights)
    return model.eval()


def test_stage_2_moves_no_frozen_part(tmp_path: Path) -> None:
    staged = outcome(tmp_path, "il", DSMTLIL(), make_backbone=ToyBackbone)
    found = state(tmp_path, staged, "a+b+c")
    for name in NAMES:
        expected = state(tmp_path, staged, name)
        assert same(part(found, f"private.{name}."), part(expected, "backbone."))
        assert same(part(found, f"heads.{name}."), part(expected, f"heads.{name}."))
    (learned,) = [t["learned"] for t in staged.result["trainings"] if len(t["tasks"]) > 1]
    assert all(alpha != 0.5 and 0 <= alpha <= 1 for alpha in learned["alpha"].values())


def test_the_best_of_the_two_stages_is_kept(tmp_path: Path) -> None:
    best = outcome(tmp_path, "il", DSMTLIL(keep="best", alpha_init=1.0, learnable_gate=False))
    stages = {"+".join(t["tasks"]): t["scores"] for t in best.result["trainings"]}
    for name in NAMES:
        losses = [stages[key]["val"][name]["mae"] for key in (name, "+".join(NAMES))]
        assert best.result["scores"]["val"][name]["mae"] == min(losses)


def test_stage_1_may_be_shorter_and_then_is_no_single_task_reference(tmp_path: Path) -> None:
    whole = outcome(tmp_path, "alone", SingleTask()).result["trainings"][0]["num_steps"]
    short = outcome(tmp_path, "il", DSMTLIL(keep="best"), trainer={"collect_epochs": 1})
    found = {tuple(t["tasks"]): t for t in short.result["trainings"]}
    assert {found[(name,)]["num_steps"] for name in NAMES} == {whole // 3}
    assert found[NAMES]["num_steps"] == whole
    assert {t["phase"] for t in found.values()} == {"train"}  # any may serve a task
    alone = outcome(tmp_path, "alone", SingleTask()).result
    assert {t["num_steps"] for t in alone["trainings"]} == {whole}
    assert short.result["single_task"]["a"]["test"] == alone["scores"]["test"]["a"]


def test_a_dry_run_passes_both_stages(tmp_path: Path) -> None:
    outcome(tmp_path, "il", DSMTLIL(), dry_run=True)
