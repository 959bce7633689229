"""What a run leaves, reuses and refuses."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mtlrun.backbones.latent import Latent
from mtlrun.core.batch import Batch
from mtlrun.core.data import DataError
from mtlrun.core.grouping import Affinity, Group, Plan
from mtlrun.core.method import AffinityCollector, Fitted, Lab, Method, StepOutput, TrainingPoint
from mtlrun.data.multi_domain_toy import MultiDomainToy
from mtlrun.engine.lab import Assignment, Workbench
from mtlrun.engine.pipeline import run
from mtlrun.engine.progress import Speaker
from mtlrun.engine.record import RunRecord
from mtlrun.engine.tracker import Tracker
from mtlrun.methods._groups import AffinityMethod, make_model
from mtlrun.methods.hps import HPS
from mtlrun.methods.optimal import Optimal
from mtlrun.methods.random import Random
from mtlrun.methods.single_task import SingleTask
from mtlrun.solvers.exact import Exact
from mtlrun.updates.joint import Joint
from mtlrun.weightings.equal import Equal
from tests.toy import NAMES, ToyBackbone, ToyData, toy_setup


class Counting(AffinityCollector):
    """Notes the learning rates it is shown; draws nothing."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def observe(self, point: TrainingPoint) -> None:
        assert point.model.training
        self.rates.append(point.learning_rate)

    def affinity(self) -> Affinity:
        values = np.array([[1.0, 2, 1], [2, 1, 1], [1, 1, 1]])
        return Affinity(NAMES, values, len(self.rates), "counting")

    def state_dict(self) -> dict[str, object]:
        return {"rates": self.rates}

    def load_state_dict(self, state: dict[str, list[float]]) -> None:  # type: ignore[override]
        self.rates = list(state["rates"])


class Grouping(AffinityMethod):
    def __init__(self) -> None:
        self.collector = Counting()  # type: ignore[assignment]
        self.objective = "best_group"


def test_a_run_leaves_a_complete_folder(tmp_path: Path) -> None:
    outcome = run(toy_setup(tmp_path, method=Grouping()))
    names = {p.name for p in outcome.folder.iterdir()}
    assert {
        "config.yaml", "environment.json", "metrics.jsonl", "affinity.json", "plan.json",
        "checkpoints", "result.json",
    } <= names  # fmt: skip
    result = json.loads((outcome.folder / "result.json").read_text())
    assert result["scores"] == outcome.result["scores"]
    assert set(result["scores"]["test"]) == set(NAMES)
    assert result["served_by"]["a"] == ["a", "b"]
    assert [t["phase"] for t in result["trainings"]] == ["collect", "train", "train"]


def test_the_collector_sees_every_batch_and_is_found_again(tmp_path: Path) -> None:
    first = Grouping()
    run(toy_setup(tmp_path, method=first))
    assert first.collector.rates == [0.01] * 15  # type: ignore[attr-defined]
    second = Grouping()
    setup = toy_setup(tmp_path / "other", method=second, store=tmp_path / "store")
    outcome = run(setup)
    assert second.collector.rates == [0.01] * 15  # type: ignore[attr-defined]
    assert all(training["reused"] for training in outcome.result["trainings"])


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    first = run(toy_setup(tmp_path))
    before = (first.folder / "result.json").stat().st_mtime_ns
    again = run(toy_setup(tmp_path))
    assert again.was_done
    assert again.result["scores"] == first.result["scores"]
    assert (first.folder / "result.json").stat().st_mtime_ns == before


def test_methods_share_single_task_trainings_and_are_compared_with_them(tmp_path: Path) -> None:
    store = tmp_path / "store"
    alone = run(toy_setup(tmp_path / "stl", method=SingleTask(), store=store))
    joint = run(toy_setup(tmp_path / "hps", method=HPS(), store=store))
    assert joint.result["single_task"]["a"]["test"] == alone.result["scores"]["test"]["a"]
    lonely = run(toy_setup(tmp_path / "lonely", method=HPS()))
    assert lonely.result["single_task"] is None


class Recording(Tracker):
    def __init__(self) -> None:
        self.rows: list[tuple[dict[str, float], int]] = []
        self.ended = 0

    def on_start(self, config: object, folder: Path) -> None: ...

    def on_log(self, scalars: Mapping[str, float], step: int) -> None:
        self.rows.append((dict(scalars), step))

    def on_image(self, name: str, path: Path) -> None: ...

    def on_finish(self) -> None:
        self.ended += 1


def test_a_tracker_is_given_the_final_scores_also_of_reused_trainings(tmp_path: Path) -> None:
    store = tmp_path / "store"
    trackers = [Recording(), Recording()]
    for k, tracker in enumerate(trackers):
        outcome = run(
            toy_setup(tmp_path / str(k), store=store, logger=lambda *_, tracker=tracker: tracker)
        )
    expected = {
        f"{split}/{task}/{name}": value
        for split, by_task in outcome.result["scores"].items()
        for task, own in by_task.items()
        for name, value in own.items()
    }
    for tracker in trackers:
        assert tracker.rows[-1][0] == {f"final/{name}": value for name, value in expected.items()}
        assert tracker.ended == 1
    steps = [step for _, step in trackers[0].rows]
    assert steps == sorted(set(steps))


def test_a_finished_run_finds_references_that_were_trained_since(tmp_path: Path) -> None:
    store = tmp_path / "store"
    before = run(toy_setup(tmp_path / "hps", method=HPS(), store=store))
    assert before.result["single_task"] is None
    alone = run(toy_setup(tmp_path / "stl", method=SingleTask(), store=store))
    after = run(toy_setup(tmp_path / "hps", method=HPS(), store=store))
    assert after.was_done
    assert after.result["single_task"]["a"]["test"] == alone.result["scores"]["test"]["a"]
    stored = json.loads((after.folder / "result.json").read_text())
    assert stored["single_task"] == after.result["single_task"]
    assert stored["scores"] == before.result["scores"]


def test_a_finished_run_keeps_references_that_the_store_has_lost(tmp_path: Path) -> None:
    store = tmp_path / "store"
    run(toy_setup(tmp_path / "stl", method=SingleTask(), store=store))
    before = run(toy_setup(tmp_path / "hps", method=HPS(), store=store))
    next(store.glob("*/result.json")).unlink()
    after = run(toy_setup(tmp_path / "hps", method=HPS(), store=store))
    assert after.result["single_task"] == before.result["single_task"]


def test_optimal_is_the_best_of_all_groupings_by_validation(tmp_path: Path) -> None:
    store = tmp_path / "store"
    best = run(toy_setup(tmp_path / "optimal", method=Optimal(), store=store))
    trained = {tuple(t["tasks"]) for t in best.result["trainings"]}
    assert len(trained) == 7
    assert len(best.result["plan"]["groups"]) <= 2
    joint = run(toy_setup(tmp_path / "hps", method=HPS(), store=store))

    def total(outcome: object) -> float:
        scores = outcome.result["scores"]["val"]  # type: ignore[attr-defined]
        reference = best.result["single_task"]
        return sum(1 - scores[name]["mae"] / reference[name]["val"]["mae"] for name in NAMES)

    assert total(best) >= total(joint)
    assert total(best) == pytest.approx(3 * best.result["plan"]["objective"], rel=1e-6)


def test_random_averages_its_draws(tmp_path: Path) -> None:
    outcome = run(toy_setup(tmp_path, method=Random(num_draws=3)))
    draws = outcome.result["draws"]
    assert len(draws) == 3
    for draw in draws:
        assert len(draw["groups"]) == 2
        assert {task for group in draw["groups"] for task in group} == set(NAMES)
    mean = sum(draw["scores"]["test"]["a"]["mae"] for draw in draws) / 3
    assert outcome.result["scores"]["test"]["a"]["mae"] == pytest.approx(mean)


def test_a_task_is_served_by_the_group_that_validates_best(tmp_path: Path) -> None:
    plan = Plan((Group.of(NAMES), Group.of(["a", "b"])))
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json())
    outcome = run(toy_setup(tmp_path, plan=path))
    by_tasks = {tuple(t["tasks"]): t["scores"]["val"] for t in outcome.result["trainings"]}
    best = min(by_tasks, key=lambda tasks: by_tasks[tasks].get("a", {"mae": 9e9})["mae"])
    assert tuple(outcome.result["served_by"]["a"]) == best
    assert outcome.result["served_by"]["c"] == list(NAMES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"groups": [{"tasks": ["a", "b", "x"]}]}', r"among a, b, c\. Found x"),
        ('{"groups": [{"tasks": ["a", "b"]}]}', "no group that serves c"),
        ('{"groups": [{"tasks": "abc"}]}', r"Found TypeError.*a list of tasks' names"),
        ('{"groups": [{"tasks": [1, 2]}]}', r"plan\.json.*a list of tasks' names"),
        ("not a plan", "plan.json"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        run(toy_setup(tmp_path, plan=path))


def test_a_stored_affinity_replaces_collecting(tmp_path: Path) -> None:
    path = tmp_path / "affinity.json"
    path.write_text(Counting().affinity().to_json())
    outcome = run(toy_setup(tmp_path, method=Grouping(), affinity=path))
    assert [t["phase"] for t in outcome.result["trainings"]] == ["train", "train"]
    path.write_text(path.read_text().replace('"a"', '"z"'))
    with pytest.raises(ValueError, match="should be of the tasks a, b, c"):
        run(toy_setup(tmp_path / "other", method=Grouping(), affinity=path))


class Saying(HPS):
    """Says when it begins to collect."""

    def collect(self, lab: Lab) -> Plan:
        lab.say("It collects.")
        return super().collect(lab)


def test_a_given_file_without_effect_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "affinity.json"
    path.write_text(Counting().affinity().to_json())
    run(toy_setup(tmp_path, method=Saying(), affinity=path))
    said = capsys.readouterr().err
    assert said.index("Warning: `affinity` has no effect") < said.index("It collects.")
    plan = tmp_path / "plan.json"
    plan.write_text(Plan((Group.of(["a", "b", "c"]),)).to_json())
    run(toy_setup(tmp_path / "planned", method=Grouping(), affinity=path, plan=plan))
    assert "Warning: `affinity` has no effect" in capsys.readouterr().err
    run(toy_setup(tmp_path / "other", method=Grouping(), affinity=path))
    assert "`affinity` has no effect" not in capsys.readouterr().err


ALL_SET = (
    "solver.num_groups", "weighting", "method.collector.every", "trainer.collect_epochs", "seed",
)  # fmt: skip


@pytest.mark.parametrize(
    ("method", "idle"),
    [
        (HPS(), {"solver.num_groups", "method.collector.every", "trainer.collect_epochs"}),
        (SingleTask(), set(ALL_SET) - {"seed"}),
        (Grouping(), set()),
    ],
    ids=["hps", "single_task", "grouping"],
)
def test_a_setting_without_effect_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: Method, idle: set[str]
) -> None:
    run(toy_setup(tmp_path, method=method, set_keys=ALL_SET))
    said = capsys.readouterr().err
    assert {key for key in ALL_SET if f"`{key}` has no effect" in said} == idle


def test_a_collector_that_a_given_affinity_replaces_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "affinity.json"
    path.write_text(Counting().affinity().to_json())
    run(toy_setup(tmp_path, method=Grouping(), affinity=path, set_keys=ALL_SET))
    said = capsys.readouterr().err
    assert "`method.collector.every` has no effect" in said
    assert "`solver.num_groups` has no effect" not in said


def test_phase_2_is_not_missed_where_it_is_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(toy_setup(tmp_path, method=SingleTask(), phase="collect", set_keys=("weighting",)))
    assert "no effect" not in capsys.readouterr().err


def test_a_finished_run_is_not_that_of_a_plan_edited_since(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(Plan((Group.of(NAMES),)).to_json())
    run(toy_setup(tmp_path, plan=path))
    assert run(toy_setup(tmp_path, plan=path)).was_done
    path.write_text(Plan((Group.of(["a"]), Group.of(["b", "c"]))).to_json())
    with pytest.raises(ValueError, match="whose plan had another content"):
        run(toy_setup(tmp_path, plan=path))


def test_a_refused_plan_can_be_mended_and_run_again(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(Plan((Group.of(["a"]),)).to_json())
    with pytest.raises(ValueError, match=r"plan\.json: .*serves b, c"):
        run(toy_setup(tmp_path, plan=path))
    path.write_text(Plan((Group.of(NAMES),)).to_json())
    assert not run(toy_setup(tmp_path, plan=path)).was_done


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"scores": 1'])
@pytest.mark.parametrize("pattern", ["run/result.json", "store/*/result.json"])
def test_a_damaged_result_is_named_and_made_again(tmp_path: Path, pattern: str, text: str) -> None:
    first = run(toy_setup(tmp_path))
    if pattern.startswith("store"):
        (tmp_path / "run" / "result.json").unlink()
    (path,) = tmp_path.glob(pattern)
    path.write_text(text)
    with pytest.raises(DataError, match=r"result\.json should hold.*Delete the file and run again"):
        run(toy_setup(tmp_path))
    path.unlink()
    assert run(toy_setup(tmp_path)).result["scores"] == first.result["scores"]


@pytest.mark.parametrize("text", ["", "- a list", "{"])
def test_a_damaged_configuration_of_the_folder_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(text)
    with pytest.raises(DataError, match=r"config\.yaml should hold YAML"):
        run(toy_setup(tmp_path))


@pytest.mark.parametrize("name", ["model.pt", "observers.pt"])
def test_a_training_whose_files_are_lost_is_made_again(tmp_path: Path, name: str) -> None:
    first = run(toy_setup(tmp_path))
    next(tmp_path.glob(f"store/*/{name}")).unlink()
    again = run(toy_setup(tmp_path / "other", store=tmp_path / "store"))
    assert again.result["scores"] == first.result["scores"]
    assert not again.result["trainings"][0]["reused"]


def test_a_finished_folder_is_left_as_it_is(tmp_path: Path) -> None:
    folder = run(toy_setup(tmp_path)).folder
    (folder / "environment.json").write_text('{"torch": "of the run that is stored"}')
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    run(toy_setup(tmp_path))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_evaluations_of_other_examples_are_other_trainings(tmp_path: Path) -> None:
    outcomes = [
        run(
            toy_setup(
                tmp_path / str(size),
                store=tmp_path / "store",
                trainer={"eval_batches": 1, "eval_batch_size": size},
            )
        )
        for size in (2, 8)
    ]
    assert outcomes[0].result["scores"] != outcomes[1].result["scores"]


@pytest.mark.parametrize(("norm", "same"), [("batch", False), ("layer", True)])
def test_processes_that_share_no_statistics_make_another_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norm: str, same: bool
) -> None:
    setup = toy_setup(tmp_path, make_backbone=lambda inputs: ToyBackbone(inputs, norm=norm))

    def key() -> str:
        lab = Workbench(setup, Speaker(quiet=True))
        wanted = Assignment(Joint(Equal()), make_model(lab, NAMES), NAMES, "train")
        return lab._entry(wanted).key

    alone = key()
    monkeypatch.setattr("mtlrun.engine.lab.num_processes", lambda: 2)
    assert (key() == alone) == same


def test_a_training_made_by_the_run_itself_is_not_reused(tmp_path: Path) -> None:
    outcome = run(toy_setup(tmp_path, method=Optimal()))
    assert not any(training["reused"] for training in outcome.result["trainings"])


def test_deterministic_algorithms_are_asked_for_during_the_run_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    original = Joint.step

    def stepping(self: Joint, batch: Batch) -> StepOutput:
        asked.append(torch.are_deterministic_algorithms_enabled())
        return original(self, batch)

    monkeypatch.setattr(Joint, "step", stepping)
    run(toy_setup(tmp_path, trainer={"epochs": 1}))
    run(toy_setup(tmp_path / "other", trainer={"epochs": 1, "deterministic": True}))
    assert asked == [False] * 5 + [True] * 5
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(("precision", "expected"), [("fp32", "ieee"), ("tf32", "tf32")])
def test_float32_products_are_not_rounded_unless_asked_for(
    precision: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cudnn: Any = torch.backends.cudnn
    place = cudnn.conv
    before, seen, original = place.fp32_precision, set(), Joint.step

    def stepping(self: Joint, batch: Batch) -> StepOutput:
        seen.add(place.fp32_precision)
        return original(self, batch)

    monkeypatch.setattr(Joint, "step", stepping)
    run(toy_setup(tmp_path, trainer={"epochs": 1, "precision": precision}))
    assert seen == {expected}
    assert place.fp32_precision == before


def test_weights_of_groups_whose_names_begin_alike_stay_apart(tmp_path: Path) -> None:
    tasks = [f"a_task_with_a_long_name_{number}" for number in range(6)]
    names = {RunRecord(tmp_path).weights(Group.of(tasks[:size])).stem for size in range(1, 7)}
    assert len(names) == 6
    assert max(map(len, names)) <= 100


@pytest.mark.parametrize("method", [Grouping(), Optimal()], ids=["affinity", "optimal"])
@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (Exact(num_groups=8), r"between 1 and 7.*Found `num_groups = 8`"),
        (Exact(num_groups=2, max_size=1), r"cannot cover the 3 tasks"),
        (Exact(num_groups=2, budgets=[2.0, 2.0, 2.0], capacities=3.0), r"no such groups"),
    ],
)
def test_groups_that_cannot_be_are_refused_before_anything_is_collected(
    tmp_path: Path, method: Method, solver: Exact, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(toy_setup(tmp_path, method=method, solver=solver))
    assert not (tmp_path / "store").exists()


def test_phase_collect_stops_after_the_plan(tmp_path: Path) -> None:
    outcome = run(toy_setup(tmp_path, method=Grouping(), phase="collect"))
    assert (outcome.folder / "plan.json").exists()
    assert not (outcome.folder / "result.json").exists()
    assert "scores" not in outcome.result


def test_a_folder_of_other_settings_is_refused_by_name(tmp_path: Path) -> None:
    run(toy_setup(tmp_path))
    with pytest.raises(ValueError, match=r"trainer\.epochs: 3, now 4"):
        run(toy_setup(tmp_path, trainer={"epochs": 4}))
    run(toy_setup(tmp_path, trainer={"device": "cpu", "num_workers": 0}))
    with pytest.raises(ValueError, match=r"noise: 0\.1, now 0\.2"):
        run(toy_setup(tmp_path, data=ToyData(noise=0.2)))


def test_a_dry_run_leaves_nothing(tmp_path: Path) -> None:
    outcome = run(toy_setup(tmp_path, method=Grouping(), dry_run=True))
    assert set(outcome.result["scores"]["val"]) == set(NAMES)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "store").exists()


def test_patience_ends_a_training_and_best_val_keeps_its_best_weights(tmp_path: Path) -> None:
    trainer = {"epochs": 60, "patience": 2, "select": "best_val"}
    outcome = run(toy_setup(tmp_path, trainer=trainer, data=ToyData(noise=2.0)))
    (training,) = outcome.result["trainings"]
    losses = [
        sum(v for k, v in json.loads(line).items() if k.startswith("val/") and k.endswith("/loss"))
        for line in (outcome.folder / "metrics.jsonl").read_text().splitlines()
        if "val/a/loss" in line
    ]
    kept = sum(scores["loss"] for scores in training["scores"]["val"].values())
    assert kept == pytest.approx(min(losses))
    assert training["num_steps"] == 5 * len(losses)


class Unheld(ToyData):
    """Trains on its split `val`."""

    @property
    def trained_on_val(self) -> str | None:
        return "data.share=0.1"


@pytest.mark.parametrize(
    ("trainer", "chosen"),
    [
        ({}, ["the group that serves a, b"]),
        (
            {"select": "best_val", "patience": 2},
            [
                "the weights (trainer.select=best_val)",
                "the end of training (trainer.patience)",
                "the group that serves a, b",
            ],
        ),
    ],
)
def test_what_is_chosen_on_training_data_is_warned_of_and_marked(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    trainer: dict[str, object],
    chosen: list[str],
) -> None:
    path = tmp_path / "plan.json"
    path.write_text(Plan((Group.of(NAMES), Group.of(["a", "b"]))).to_json())
    outcome = run(toy_setup(tmp_path, data=Unheld(), plan=path, trainer=trainer))
    said = " ".join(capsys.readouterr().err.split())
    assert outcome.result["chosen_on_training_data"] == chosen
    assert said.count("Warning") == len({text.startswith("the group") for text in chosen})
    for text in chosen:
        assert text in said
    assert "Set data.share=0.1" in said
    honest = run(toy_setup(tmp_path / "honest", plan=path, trainer=trainer))
    assert honest.result["chosen_on_training_data"] == []
    assert "training data" not in capsys.readouterr().err


def test_a_batch_of_data_with_classes_in_common_is_a_whole_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = toy_setup(
        tmp_path,
        data=MultiDomainToy(num_classes=3, width=5),
        make_backbone=Latent,
        trainer={"batch_size": 2, "epochs": 4},
        set_keys=("trainer.batch_size",),
    )
    (training,) = run(setup).result["trainings"]
    assert training["num_steps"] == 4
    assert "whole pass, 12 examples a task" in " ".join(capsys.readouterr().err.split())


class Peeking(ToyData):
    """Takes its test examples for the split `val`."""

    @property
    def test_is_val(self) -> str | None:
        return "data.val=test"


def test_what_is_chosen_on_test_data_is_warned_of_and_marked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run(toy_setup(tmp_path, data=Peeking(), trainer={"select": "best_val"}))
    assert outcome.result["chosen_on_test_data"] == ["the weights (trainer.select=best_val)"]
    assert outcome.result["chosen_on_training_data"] == []
    said = " ".join(capsys.readouterr().err.split())
    assert "(trainer.select=best_val) will be chosen on test data" in said
    assert "(data.val=test)" in said
    last = run(toy_setup(tmp_path / "last", data=Peeking()))
    assert last.result["chosen_on_test_data"] == []
    assert "test data" not in capsys.readouterr().err


def test_a_plan_by_val_is_chosen_on_training_data_where_the_last_weights_are_not(
    tmp_path: Path,
) -> None:
    best = run(toy_setup(tmp_path / "optimal", data=Unheld(), method=Optimal()))
    assert best.result["chosen_on_training_data"][0] == "the plan"
    joint = run(toy_setup(tmp_path / "hps", data=Unheld()))
    assert joint.result["chosen_on_training_data"] == []


def test_random_weights_where_papers_have_pretrained_ones_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, backbone, expected in (("a", {"weights": None}, 1), ("b", {"weights": "w.pt"}, 0)):
        setup = toy_setup(tmp_path / name)
        config = {**setup.config, "backbone": backbone}
        run(replace(setup, config=config, dry_run=True))
        assert capsys.readouterr().err.count("backbone.weights=download") == expected


class Rescored(HPS):
    """Trains all tasks, then scores the result without a step."""

    def train(self, lab: Lab, plan: Plan) -> dict[Group, Fitted]:
        trained = super().train(lab, plan)
        found = {}
        for group, fitted in trained.items():
            model = make_model(lab, group.tasks)
            if fitted.weights.is_file():  # a dry run keeps none
                model.load_state_dict(torch.load(fitted.weights, weights_only=True))
            rule = Joint(Equal())
            found[group] = lab.fit(
                rule, model, group.tasks, phase="train", after=[fitted.key], epochs=0
            )
        return found


def test_a_training_of_no_epochs_keeps_and_scores_the_model_as_it_is(tmp_path: Path) -> None:
    trained = run(toy_setup(tmp_path / "hps", method=HPS()))
    scored = run(toy_setup(tmp_path / "scored", method=Rescored()))
    assert scored.result["scores"] == trained.result["scores"]
    assert [t["num_steps"] for t in scored.result["trainings"]] == [15, 0]
    run(toy_setup(tmp_path / "dry", method=Rescored(), dry_run=True))
