"""The method of selective updates: variants, what it refuses and warns of, and whole runs."""

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from mtlrun.config import ConfigError, build, compose
from mtlrun.core.batch import Batch
from mtlrun.core.grouping import Affinity
from mtlrun.core.method import StepOutput
from mtlrun.engine.pipeline import run
from mtlrun.engine.schedules import Poly
from mtlrun.methods.hps import HPS
from mtlrun.methods.selective import VARIANTS, SelectiveUpdates
from mtlrun.methods.single_task import SingleTask
from mtlrun.updates.selective import Selective
from tests.toy import NAMES, toy_setup


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def composed(*words: str) -> SelectiveUpdates:
    made = compose(["method=selective", *words]).built["method"]
    assert isinstance(made, SelectiveUpdates)
    return made


def test_the_paper_is_the_default_and_the_program_one_word_away() -> None:
    def chosen(method: SelectiveUpdates) -> dict[str, Any]:
        names = VARIANTS["paper"]
        return {k: v for k, v in method.settings.items() if k in names} | {
            "grouping": method.grouping
        }

    assert chosen(composed()) == VARIANTS["paper"]
    assert chosen(composed("method.variant=code")) == VARIANTS["code"]
    assert not VARIANTS["paper"].items() & VARIANTS["code"].items()


def test_a_key_that_is_set_wins_over_the_variant() -> None:
    words = ("method.variant=code", "method.conflict=abs", "method.divide_by_group_size=false")
    found = composed(*words, "method.head_lr_mult=1.5", "method.grouping=cliques")
    assert (found.settings["conflict"], found.settings["self_update"]) == ("abs", "nonneg")
    assert not found.settings["divide_by_group_size"]
    assert (found.settings["head_lr_mult"], found.grouping) == (1.5, "cliques")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["method.beta=0"], "method.beta"),
        (["method.grouping=random", "method.num_groups=0"], "method.num_groups"),
        (["method.grouping=nearest"], "method.grouping"),
        (["method.order=sideways"], "method.order"),
        (["method.head_lr_mult=fast"], "method.head_lr_mult"),
        (["method.head_lr_mult=0"], "method.head_lr_mult"),
        (["method.head_lr_mult=-1"], "method.head_lr_mult"),
        (["method.head_lr_mult=.nan"], "method.head_lr_mult"),
        (["method.warmup=-5"], "method.warmup"),
        (["method.loss_weights={depth: -1}"], "method.loss_weights"),
        (["method.loss_weights={depth: .inf}"], "method.loss_weights"),
    ],
)
def test_settings_out_of_range_are_refused_before_data_is_read(
    words: list[str], named: str
) -> None:
    with pytest.raises(ConfigError, match=named.replace(".", r"\.")):
        build(compose(["method=selective", *words]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grouping": "static"}, "each of a, b, c once. Found none"),
        ({"grouping": "static", "groups": [["a"], ["b"]]}, "each of a, b, c once"),
        ({"order": ["a", "b"]}, "each of a, b, c once. Found a, b"),
        ({"loss_weights": {"d": 2.0}}, "Found d. Set method.loss_weights"),
    ],
)
def test_settings_that_do_not_fit_the_tasks_are_refused(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        run(toy_setup(tmp_path, method=SelectiveUpdates(**settings)))
    assert not list((tmp_path / "store").rglob("*.json"))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, []),
        ({"groups": [["a"]], "num_groups": 2}, ["groups", "num_groups"]),
        ({"warmup": 3, "order": "backward", "frozen_heads": "zero_grad"}, []),
        ({"grouping": "affinity_propagation", "warmup": 3}, []),
        ({"grouping": "singletons", "warmup": 3, "order": "backward"}, ["warmup"]),
        ({"grouping": "random", "warmup": 3}, ["warmup"]),
        ({"grouping": "static", "groups": [["a", "b"], ["c"]], "warmup": 3}, ["warmup"]),
        ({"grouping": "all", "variant": "code"}, []),
        (
            {"grouping": "all", "warmup": 3, "order": "backward", "frozen_heads": "zero_grad"},
            ["warmup", "frozen_heads", "order"],
        ),
    ],
)
def test_settings_without_effect_are_named(
    settings: dict[str, Any], named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(toy_setup(tmp_path, method=SelectiveUpdates(**settings), dry_run=True))
    said = re.findall(r"Warning: `method\.(\w+)` has no effect", capsys.readouterr().err)
    assert said == named


def test_a_run_leaves_affinity_groups_and_figures(tmp_path: Path) -> None:
    method = SelectiveUpdates(warmup=3, beta=0.1)
    found = run(toy_setup(tmp_path, method=method, schedule=Poly()))
    (training,) = found.result["trainings"]
    affinity = Affinity.from_json((found.folder / "affinity.json").read_text())
    assert (affinity.kind, affinity.tasks, affinity.num_observations) == ("proximal", NAMES, 15)
    for k, source in enumerate(NAMES):
        assert [training["learned"]["affinity"][source][t] for t in NAMES] == list(
            affinity.values[k]
        )
    assert sorted(t for g in training["learned"]["last_groups"] for t in g) == list(NAMES)
    logged = [line for line in lines_of(found.folder) if "groups" in line]
    assert logged[0]["groups"] == 3.0
    assert logged[-1]["affinity/a/b"] == pytest.approx(affinity.values[0, 1], rel=0.5)


@pytest.mark.parametrize(
    ("lr", "precision", "warned"),
    [(0.02, "fp32", False), (2e-6, "fp32", False), (2e-6, "bf16", True), (1e-12, "fp32", True)],
)
def test_changes_that_drown_in_rounding_are_warned_of_once(
    lr: float, precision: str, warned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = toy_setup(tmp_path, method=SelectiveUpdates(), trainer={"precision": precision})
    found = run(replace(setup, make_optimizer=partial(torch.optim.Adam, lr=lr)))
    said = capsys.readouterr().err.count("may be rounding")
    affinity = Affinity.from_json((found.folder / "affinity.json").read_text())
    assert said == warned == (affinity.details["below_rounding"] > 0.5)
    type_ = torch.bfloat16 if precision == "bf16" else torch.float32
    assert affinity.details["rounding"] == torch.finfo(type_).eps


def test_the_schedule_moves_once_a_batch(tmp_path: Path) -> None:
    rates = []
    for name, method in (("one", HPS()), ("two", SelectiveUpdates(grouping="singletons"))):
        found = run(toy_setup(tmp_path / name, method=method, schedule=Poly()))
        rates.append([line["lr"] for line in lines_of(found.folder) if "lr" in line])
    assert rates[0] == rates[1]
    assert len(rates[0]) == 7


def test_one_group_of_all_scores_as_hard_sharing_does(tmp_path: Path) -> None:
    joint = run(toy_setup(tmp_path / "hps", method=HPS(), schedule=Poly()))
    method = SelectiveUpdates(grouping="all")
    found = run(toy_setup(tmp_path / "all", method=method, schedule=Poly()))
    assert found.result["scores"] == joint.result["scores"]


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_a_killed_run_resumes_bit_for_bit(
    variant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def setup(name: str) -> Any:
        method = SelectiveUpdates(variant=variant, warmup=3, beta=0.2)
        trainer = {"checkpoint_every": 2, "log_every": 1}
        return toy_setup(tmp_path / name, method=method, trainer=trainer, schedule=Poly())

    whole = run(setup("whole"))
    original, counter = Selective.step, iter(range(1, 100))

    def dying(self: Selective, of: Batch) -> StepOutput:
        if next(counter) == 8:
            raise KeyboardInterrupt
        return original(self, of)

    with monkeypatch.context() as patch:
        patch.setattr(Selective, "step", dying)
        with pytest.raises(KeyboardInterrupt):
            run(setup("killed"))
    again = run(setup("killed"))
    assert again.result["scores"] == whole.result["scores"]
    (one,), (other,) = (found.result["trainings"] for found in (again, whole))
    assert one["learned"] == other["learned"]
    assert lines_of(again.folder) == lines_of(whole.folder)


def test_a_training_found_in_the_store_brings_its_affinity(tmp_path: Path) -> None:
    def made(name: str) -> Any:
        method = SelectiveUpdates(warmup=2)
        return run(toy_setup(tmp_path / name, method=method, store=tmp_path / "store"))

    first, second = made("first"), made("second")
    assert second.result["trainings"][0]["reused"]
    one, other = ((found.folder / "affinity.json").read_text() for found in (first, second))
    assert one == other


def test_groups_of_a_plan_are_trained_apart_and_single_tasks_once(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    groups = [{"tasks": own, "serves": own} for own in (["a", "c"], ["b"])]
    plan.write_text(
        json.dumps({"groups": groups, "settings": {}, "objective": None, "bound": None})
    )
    alone = run(toy_setup(tmp_path / "alone", method=SingleTask(), store=tmp_path / "store"))
    method = SelectiveUpdates(grouping="static", groups=[["b", "c"], ["a"]])
    found = run(toy_setup(tmp_path / "plan", method=method, store=tmp_path / "store", plan=plan))
    pair, single = found.result["trainings"]
    assert pair["learned"]["last_groups"] == [["a"], ["c"]]
    assert single["reused"]
    assert found.result["single_task"]["b"] == {
        split: own["b"] for split, own in alone.result["trainings"][1]["scores"].items()
    }
    assert not (found.folder / "affinity.json").exists()


def test_a_dry_run_passes(tmp_path: Path) -> None:
    run(toy_setup(tmp_path, method=SelectiveUpdates(), dry_run=True))


def test_taskonomy_is_trained_as_the_paper_says() -> None:
    for words in (["method=selective"], ["method=single_task", "recipe=taskonomy_selective"]):
        found = compose([*words, "data=taskonomy"]).values
        assert (found["optimizer"]["lr"], found["optimizer"]["weight_decay"]) == (2e-5, 1e-6)
        trainer = found["trainer"]
        assert trainer["epochs"] * trainer["steps_per_epoch"] == 40_000
        assert trainer["batch_size"] == 8
        assert (found["data"]["tasks"], found["data"]["size"]) == ("eleven", 256)
        assert found["scheduler"]["power"] == 0.9
