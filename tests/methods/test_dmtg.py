"""DMTG through the engine: its extremes, what pruning leaves, and plans that a person edits."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtlrun.core.batch import Batch
from mtlrun.core.grouping import Plan
from mtlrun.core.method import Method, StepOutput
from mtlrun.engine.pipeline import Outcome, run
from mtlrun.methods.dmtg import DMTG, undecided
from mtlrun.methods.hps import HPS
from mtlrun.methods.single_task import SingleTask
from mtlrun.reports.figures import illustrate
from mtlrun.updates.one_shot import OneShot
from tests.toy import NAMES, ToyBackbone, toy_setup

PLAIN = partial(ToyBackbone, dropout=0.0)
State = dict[str, Tensor]


def outcome(folder: Path, name: str, method: Method, **others: Any) -> Outcome:
    setup = toy_setup(folder / name, method=method, store=folder / "store", **others)
    return run(setup)


def split_up(**settings: Any) -> DMTG:
    """Whose initial logits are drawn, so that there is more than one group after few steps."""
    return DMTG(**{"init": "gaussian", "num_groups": 3} | settings)


def trainings(found: Outcome, phase: str) -> dict[str, Any]:
    own = [t for t in found.result["trainings"] if t["phase"] == phase]
    return {"+".join(t["tasks"]): t for t in own}


def state(folder: Path, training: dict[str, Any]) -> State:
    path = folder / "store" / training["key"] / "model.pt"
    return dict(torch.load(path, weights_only=True))


def part(of: State, prefix: str) -> State:
    return {k.removeprefix(prefix): v for k, v in of.items() if k.startswith(prefix)}


def same(one: State, other: State) -> bool:
    return set(one) == set(other) and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("select", ["last", "best_val"])
def test_one_group_is_hard_sharing_bit_for_bit(tmp_path: Path, select: str) -> None:
    trainer = {"select": select}
    hps = outcome(tmp_path, "hps", HPS(), trainer=trainer)
    found = outcome(tmp_path, "dmtg", DMTG(num_groups=1), trainer=trainer)
    assert found.result["scores"] == hps.result["scores"]
    expected = state(tmp_path, trainings(hps, "train")["a+b+c"])
    assert same(state(tmp_path, trainings(found, "train")["a+b+c"]), expected)
    logs = []
    for name in ("hps", "dmtg"):
        lines = (tmp_path / name / "run" / "metrics.jsonl").read_text().splitlines()
        logs.append([own for own in map(json.loads, lines) if "train/a/loss" in own])
    for name in NAMES:
        one, other = ([own[f"train/{name}/loss"] for own in log] for log in logs)
        assert one == other


def test_a_group_for_every_task_is_single_task_learning_bit_for_bit(tmp_path: Path) -> None:
    alone = outcome(tmp_path, "alone", SingleTask(), make_backbone=PLAIN)
    found = outcome(tmp_path, "dmtg", DMTG(sample="diagonal"), make_backbone=PLAIN)
    assert found.result["scores"] == alone.result["scores"]
    assert found.result["plan"]["settings"]["group_of"] == {"a": 0, "b": 1, "c": 2}
    for name, expected in trainings(alone, "train").items():
        own = state(tmp_path, trainings(found, "train")[name])
        assert same(own, state(tmp_path, expected))
    assert set(found.result["single_task"]) == set(NAMES)


@pytest.mark.parametrize("shared", [0, 1])
def test_what_is_left_scores_as_the_whole_did(tmp_path: Path, shared: int) -> None:
    found = outcome(tmp_path, "dmtg", split_up(num_shared_stages=shared))
    groups = [group["tasks"] for group in found.result["plan"]["groups"]]
    assert 1 < len(groups) <= 3
    assert sorted(name for group in groups for name in group) == list(NAMES)
    (whole,) = trainings(found, "collect").values()
    for tasks in groups:
        own = trainings(found, "train")["+".join(tasks)]
        assert own["num_steps"] == 0
        for split in ("val", "test"):
            assert own["scores"][split] == {name: whole["scores"][split][name] for name in tasks}
    assert found.result["scores"]["test"] == whole["scores"]["test"]


@pytest.mark.parametrize("shared", [0, 1])
def test_only_groups_in_use_and_heads_of_their_tasks_are_kept(
    tmp_path: Path, shared: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = outcome(tmp_path, "dmtg", split_up(num_shared_stages=shared, num_groups=5))
    (whole,) = trainings(found, "collect").values()
    before, kept = state(tmp_path, whole), 0
    for tasks, training in trainings(found, "train").items():
        own, k = state(tmp_path, training), training["learned"]["group"]
        assert {name.split(".")[1] for name in own if name.startswith("heads")} == set(
            tasks.split("+")
        )
        for name in tasks.split("+"):
            assert same(part(own, f"heads.{name}."), part(before, f"heads.{k}.{name}."))
        encoder = part(before, f"encoders.{k}.")
        encoder |= {f"stages.{name}": v for name, v in part(before, "shared.").items()}
        assert same(part(own, "backbone."), encoder)
        kept += training["num_parameters"] - training["learned"]["common_parameters"]
    kept += training["learned"]["common_parameters"]
    assert (training["learned"]["common_parameters"] > 0) == bool(shared)
    assert kept < whole["num_parameters"]
    said = f"with {kept:,} of {whole['num_parameters']:,} parameters"
    assert said in " ".join(capsys.readouterr().err.split())


def test_every_group_is_tuned_at_a_rate_of_its_own(tmp_path: Path) -> None:
    as_it_is = outcome(tmp_path, "pruned", split_up(num_shared_stages=1))
    tuned = outcome(
        tmp_path, "tuned", split_up(num_shared_stages=1, finetune_epochs=2, finetune_lr=1e-4)
    )
    assert trainings(tuned, "collect")["a+b+c"]["reused"]
    pairs = [(trainings(own, "train")) for own in (as_it_is, tuned)]
    assert pairs[0].keys() == pairs[1].keys()
    for tasks, before in pairs[0].items():
        after = pairs[1][tasks]
        assert after["num_steps"] == 10
        one, other = state(tmp_path, before), state(tmp_path, after)
        frozen = {name for name in one if name.startswith("backbone.stages.0.")}
        assert {name for name in one if torch.equal(one[name], other[name])} == frozen
    lines = (tmp_path / "tuned" / "run" / "metrics.jsonl").read_text().splitlines()
    rates = {own["lr"] for own in map(json.loads, lines) if own["phase"] == "train" and "lr" in own}
    assert rates == {1e-4}


def test_groups_learned_from_noise_alone_differ_from_where_they_began(tmp_path: Path) -> None:
    found = outcome(tmp_path, "dmtg", DMTG(num_groups=2))
    (learned,) = [t["learned"] for t in trainings(found, "collect").values()]
    assert all(row[0] != row[1] for row in learned["logits"].values())
    settings = found.result["plan"]["settings"]
    for name, row in learned["probabilities"].items():
        assert sum(row) == pytest.approx(1)
        assert settings["group_of"][name] == row.index(max(row))
        assert settings["probabilities"][name] == row


def test_an_edited_plan_moves_a_task_to_another_group(tmp_path: Path) -> None:
    first = outcome(tmp_path, "dmtg", split_up())
    plan = Plan.from_json(json.dumps(first.result["plan"]))
    numbers = plan.settings["group_of"]
    other = next(k for k in numbers.values() if k != numbers["a"])
    numbers = {**numbers, "a": other}
    groups = [[name for name in NAMES if numbers[name] == k] for k in sorted(set(numbers.values()))]
    edited = {"groups": [{"tasks": own} for own in groups], "settings": {"group_of": numbers}}
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(edited))
    found = outcome(tmp_path, "edited", split_up(), plan=path)
    (whole,) = trainings(found, "collect").values()
    assert whole["reused"]
    own = next(t for t in trainings(found, "train").values() if "a" in t["tasks"])
    assert own["learned"]["group"] == other
    before = state(tmp_path, whole)
    assert same(part(state(tmp_path, own), "heads.a."), part(before, f"heads.{other}.a."))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (None, "should hold `group_of` for every task. Found none for a, b, c"),
        ({"a": 0, "b": 0}, "Found none for c"),
        ({"a": 0, "b": 1, "c": 1}, "all be of one of the 3 groups"),
        ({"a": 3, "b": 3, "c": 3}, "Found a of 3, b of 3, c of 3. Edit `group_of`"),
    ],
)
def test_a_plan_without_groups_of_the_network_is_refused(
    tmp_path: Path, numbers: Any, message: str
) -> None:
    path = tmp_path / "plan.json"
    own = {} if numbers is None else {"group_of": numbers}
    path.write_text(json.dumps({"groups": [{"tasks": list(NAMES)}], "settings": own}))
    with pytest.raises(ValueError, match=message):
        outcome(tmp_path, "dmtg", split_up(), plan=path)


def test_a_task_may_be_in_two_groups_of_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    groups = [{"tasks": ["a", "b", "c"]}, {"tasks": ["b"]}]
    numbers = dict.fromkeys(NAMES, 1)
    path.write_text(json.dumps({"groups": groups, "settings": {"group_of": numbers}}))
    found = outcome(tmp_path, "dmtg", split_up(), plan=path)
    assert set(trainings(found, "train")) == {"a+b+c", "b"}


def test_a_dry_run_passes_both_phases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome(tmp_path, "dmtg", DMTG(finetune_epochs=1, num_shared_stages=1), dry_run=True)
    said = capsys.readouterr().err
    assert "hardly moved" not in said
    assert "Pruned" not in said


def test_an_interrupted_run_finds_what_is_done(tmp_path: Path) -> None:
    whole = outcome(tmp_path / "one", "dmtg", split_up())
    collected = outcome(tmp_path / "two", "collected", split_up(), phase="collect")
    assert "scores" not in collected.result
    found = outcome(tmp_path / "two", "dmtg", split_up())
    assert [t["reused"] for t in trainings(found, "collect").values()] == [True]
    assert found.result["scores"] == whole.result["scores"]


def test_logits_that_did_not_move_are_warned_of_and_fall_to_the_first_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = {"epochs": 1, "steps_per_epoch": 1}
    found = outcome(tmp_path, "dmtg", DMTG(), trainer=trainer, make_backbone=PLAIN)
    assert "the logits of a, b, c hardly moved" in " ".join(capsys.readouterr().err.split())
    assert found.result["plan"]["settings"]["group_of"] == dict.fromkeys(NAMES, 0)


class Killed(Exception):
    """Stands for a kill: nothing is tidied up."""


@pytest.mark.parametrize("step", [2, 7, 15])
def test_a_killed_run_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    method = DMTG(tau_schedule="linear", tau_end=0.5, finetune_epochs=1, init="gaussian")
    trainer = {"checkpoint_every": 3}
    whole = outcome(tmp_path / "whole", "dmtg", method, trainer=trainer)
    original, steps = OneShot.step, iter(range(1, 1000))

    def stepping(self: OneShot, batch: Batch) -> StepOutput:
        if next(steps) == step:
            raise Killed
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(OneShot, "step", stepping)
        with pytest.raises(Killed):
            outcome(tmp_path / "killed", "dmtg", method, trainer=trainer)
    again = outcome(tmp_path / "killed", "dmtg", method, trainer=trainer)
    assert again.result["plan"] == whole.result["plan"]
    assert again.result["scores"] == whole.result["scores"]
    for phase in ("collect", "train"):
        pairs = zip(trainings(again, phase).values(), trainings(whole, phase).values(), strict=True)
        for one, other in pairs:
            assert same(state(tmp_path / "killed", one), state(tmp_path / "whole", other))


def test_undecided_tasks_are_named() -> None:
    assert undecided({"a": [0.6, 0.4], "b": [1.0], "c": [0.2, 0.5, 0.3]}) is None
    said = undecided({"a": [0.6, 0.4], "b": [0.5, 0.5], "c": [0.334, 0.332, 0.334]})
    assert said is not None
    assert "logits of b, c hardly moved" in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tau_end": 1.0}, "`method.tau_end` has no effect with method.tau_schedule=constant"),
        ({"finetune_lr": 0.1}, "`method.finetune_lr` has no effect without epochs"),
        ({"eps": 0.1, "init": "gaussian"}, "`method.eps` has no effect"),
        (
            {"sample": "softmax", "tau": 4.0},
            "`method.tau` has no effect with method.sample=softmax",
        ),
        ({"sample": "diagonal", "init": "gaussian"}, "`method.init` has no effect"),
        ({"sample": "diagonal", "entropy_weight": 1.2}, "`method.entropy_weight` has no effect"),
        (
            {"sample": "softmax", "tau_schedule": "exp", "tau_end": 1.0},
            "`method.tau_schedule` has no effect with method.sample=softmax",
        ),
    ],
)
def test_what_has_no_effect_is_warned_of(
    tmp_path: Path, settings: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome(tmp_path, "dmtg", DMTG(**settings), trainer={"epochs": 1}, phase="collect")
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"finetune_epochs": -1}, "method.finetune_epochs"),
        ({"finetune_lr": 0.0}, "method.finetune_lr"),
        ({"tau": -1.0}, "method.tau"),
        ({"num_groups": 2, "sample": "diagonal"}, "another method.sample"),
        ({"num_groups": 0}, "method.num_groups"),
    ],
)
def test_settings_out_of_range_are_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        outcome(tmp_path, "dmtg", DMTG(**settings))


def test_a_run_draws_its_assignments(tmp_path: Path) -> None:
    setup = toy_setup(tmp_path, method=split_up(num_groups=2))
    run(setup, illustrate=illustrate)
    folder = setup.folder / "figures"
    for name in ("assignment_traces", "assignments"):
        assert (folder / f"{name}.png").is_file()
        assert (folder / f"{name}.csv").is_file()
