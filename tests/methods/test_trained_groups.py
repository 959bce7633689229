"""Methods that train groups to find groups: pairs (HOA), some (MTG) and all."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mtlrun.core.grouping import Affinity, GroupingSolver, Plan
from mtlrun.engine.chosen_on_val import _chosen_by_val
from mtlrun.engine.pipeline import run
from mtlrun.methods import _measured
from mtlrun.methods._gain_predictor import GainPredictor
from mtlrun.methods._measured import MeasuredGroups
from mtlrun.methods.hoa import HOA
from mtlrun.methods.hps import HPS
from mtlrun.methods.lookahead import Lookahead
from mtlrun.methods.mtg import MTG
from mtlrun.methods.optimal import Optimal
from mtlrun.solvers.exact import Exact
from tests.toy import NAMES, toy_setup

TASKS = tuple("abcdef")
ALLIES = ({"a", "c", "e"}, {"b", "d", "f"})


def loss_of(group: Sequence[str], task: str) -> float:
    """1 alone; each ally saves 0.1, each stranger costs 0.2."""
    (own,) = (allies for allies in ALLIES if task in allies)
    others = set(group) - {task}
    return 1 - 0.1 * len(others & own) + 0.2 * len(others - own)


class StandIn:
    """A lab whose trainings take no time; the accuracy is 1 less the loss."""

    def __init__(self, solver: GroupingSolver, *, seed: int = 0) -> None:
        self.tasks = tuple(
            SimpleNamespace(name=name, leading_metric="accuracy", directions={"accuracy": True})
            for name in TASKS
        )
        self.solver, self.seed, self.given_affinity = solver, seed, None
        self.trained: list[tuple[str, ...]] = []
        self.said: list[str] = []
        self.saved: Affinity | None = None

    def say(self, text: str) -> None:
        self.said.append(text)

    def save_affinity(self, affinity: Affinity) -> None:
        self.saved = affinity


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes labs, whose trainings are `loss_of`."""

    def fit(lab: StandIn, group: Sequence[str]) -> SimpleNamespace:
        lab.trained.append(tuple(group))
        losses = {task: loss_of(group, task) for task in group}
        scores = {task: {"loss": own, "accuracy": 1 - own} for task, own in losses.items()}
        return SimpleNamespace(scores={"val": scores})

    monkeypatch.setattr(_measured, "fit_group", fit)
    return lambda **settings: StandIn(Exact(**settings))


def groups_of(plan: Plan) -> list[set[str]]:
    return [set(group.tasks) for group in plan.groups]


@pytest.mark.parametrize("score", ["loss", "leading_metric"])
def test_groups_are_trained_once_and_gains_refer_to_tasks_alone(
    stand_in: Callable[..., Any], score: Any
) -> None:
    lab = stand_in()
    measured = MeasuredGroups(lab, score)
    sign = 0 if score == "loss" else -1
    assert measured.errors(["e", "a"]) == pytest.approx({"a": sign + 0.9, "e": sign + 0.9})
    assert measured.errors(["a", "e"]) == measured.errors(["e", "a"])
    if score == "loss":
        assert measured.gains(["b", "a", "c"]) == pytest.approx({"a": -0.1, "b": -0.4, "c": -0.1})
    else:  # alone the accuracy is 0: differences themselves
        assert measured.gains(["a", "c"]) == pytest.approx({"a": 0.1, "c": 0.1})
    assert measured.gains(["d"]) == {"d": 0.0}
    assert len(lab.trained) == len(set(lab.trained))
    assert ("a", "e") in lab.trained


def test_hoa_trains_tasks_and_pairs_and_finds_the_groups_whose_pairs_are_best(
    stand_in: Callable[..., Any],
) -> None:
    lab = stand_in(num_groups=2)
    plan = HOA().collect(lab)
    assert len(lab.trained) == 6 + 15
    assert max(map(len, lab.trained)) == 2
    assert sorted(map(sorted, groups_of(plan))) == sorted(map(sorted, ALLIES))
    assert plan.objective == pytest.approx(0.9)  # the mean of the pairs', not the 0.8 of the three
    assert lab.saved is not None
    for i, source in enumerate(TASKS):
        for j, target in enumerate(TASKS):
            expected = loss_of([source, target], target)
            assert lab.saved.values[i, j] == pytest.approx(expected)
    helps = lab.saved.helps()
    assert helps[0].tolist() == pytest.approx([0, -0.2, 0.1, -0.2, 0.1, -0.2])


def test_hoa_of_an_accuracy_takes_the_most_accurate(stand_in: Callable[..., Any]) -> None:
    plan = HOA(score="leading_metric").collect(stand_in(num_groups=2))
    assert sorted(map(sorted, groups_of(plan))) == sorted(map(sorted, ALLIES))


def test_hoa_plans_from_given_errors_without_training(stand_in: Callable[..., Any]) -> None:
    lab = stand_in(num_groups=2)
    errors = np.where(np.eye(6) == 1, 0.5, 1.0)
    lab.given_affinity = Affinity(TASKS, errors, 1, "hoa")
    plan = HOA().collect(lab)
    assert not lab.trained
    assert plan.objective is not None
    assert plan.objective > 0.5  # two groups cannot leave six tasks alone


@pytest.mark.parametrize("acquire", ["total", "per_task", "random"])
def test_mtg_trains_as_many_groups_as_it_may_and_no_group_twice(
    stand_in: Callable[..., Any], acquire: Any
) -> None:
    lab = stand_in(num_groups=2)
    plan = MTG(acquire=acquire, num_trained=9).collect(lab)
    assert lab.trained[:7] == [*((name,) for name in TASKS), TASKS]  # all together first
    assert len(lab.trained) == len(set(lab.trained)) == 6 + 9
    assert plan.settings["num_trained"] == 9
    assert plan.proof == f"the best of 63 groups, gains of {63 - 6 - 9} predicted"
    predicted = [group for group in plan.groups if group.tasks not in lab.trained]
    assert plan.settings["num_predicted_groups"] == len(predicted)
    assert (plan.bound is None, plan.status == "feasible") == (bool(predicted), bool(predicted))
    again = stand_in(num_groups=2)
    assert MTG(acquire=acquire, num_trained=9).collect(again) == plan
    assert again.trained == lab.trained


@pytest.mark.parametrize("acquire", ["total", "per_task"])
def test_mtg_promises_no_less_than_the_best_of_the_groups_it_trained(
    stand_in: Callable[..., Any], acquire: Any
) -> None:
    lab = stand_in(num_groups=2)
    plan = MTG(acquire=acquire, predictor=GainPredictor(hidden=32, patience=30)).collect(lab)
    assert len(lab.trained) == 6 + 15  # the cost of hoa
    gains = [[1 - loss_of(g, t) if t in g else 0.0 for t in TASKS] for g in lab.trained]
    trained = lab.solver.select(TASKS, lab.trained, np.array(gains))
    assert plan.objective is not None
    assert plan.objective >= trained.objective > -0.4  # that of one group
    if not plan.settings["num_predicted_groups"]:
        assert groups_of(plan) == groups_of(trained)


def test_mtg_that_trains_all_groups_is_optimal(stand_in: Callable[..., Any]) -> None:
    own = MTG(num_trained=1000, score="leading_metric", acquire="random")
    plan = own.collect(stand_in(num_groups=2))
    best = Optimal().collect(stand_in(num_groups=2))
    assert groups_of(plan) == groups_of(best)
    assert plan.objective == best.objective == pytest.approx(0.2)
    assert plan.proof.endswith("gains of 0 predicted")
    assert (plan.status, plan.bound) == ("optimal", plan.objective)


class Told(GainPredictor):
    """Predicts 0.1 for each task of a group but a and b together, which lose 3, and b and c, which save 2."""

    def predict(self, members: Any, gains: Any, wanted: Any, *, seed: int) -> Any:
        assert not gains[~members].any()
        found = 0.1 * wanted
        found[wanted[:, :2].all(1)] -= 1.5
        found[(wanted[:, 1:3] & ~wanted[:, :1]).all(1)] += 1.0
        return found * wanted


@pytest.mark.parametrize(
    ("acquire", "rounds", "last"),
    [("total", 1, "ab"), ("per_task", 1, "ab"), ("per_task", 2, "bc")],
)
def test_the_group_that_is_predicted_furthest_from_what_is_known_is_next(
    stand_in: Callable[..., Any], acquire: Any, rounds: int, last: str
) -> None:
    lab = stand_in(num_groups=3, max_size=2)  # not all together
    MTG(acquire=acquire, num_trained=rounds, predictor=Told()).collect(lab)
    assert lab.trained[5 + rounds] == tuple(last)  # the second round's is furthest for b


def test_random_choices_follow_the_seed(stand_in: Callable[..., Any]) -> None:
    chosen = []
    for seed in (0, 0, 1):
        lab = stand_in(num_groups=2)
        lab.seed = seed
        MTG(acquire="random", num_trained=6, predictor=Told()).collect(lab)
        chosen.append(lab.trained[7:])
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize(
    ("make", "errors", "message"),
    [
        (HOA, False, r"Found what helps for `objective = hoa`"),
        (lambda: Lookahead(collector=None), True, r"Found errors of pairs.*`objective = gain`"),  # type: ignore[arg-type]
    ],
)
def test_errors_are_never_taken_for_what_helps(
    stand_in: Callable[..., Any], make: Callable[[], Any], errors: bool, message: str
) -> None:
    lab = stand_in(num_groups=2)
    lab.given_affinity = Affinity(TASKS, np.eye(6), 1, "hoa" if errors else "lookahead")
    with pytest.raises(ValueError, match=message):
        make().collect(lab)
    assert not lab.trained


def test_another_objective_than_hoas_is_refused_before_anything_is_trained(
    stand_in: Callable[..., Any],
) -> None:
    lab = stand_in(num_groups=2, objective="gain")
    with pytest.raises(ValueError, match=r"should be used for errors.*solver\.objective=null"):
        HOA().collect(lab)
    assert not lab.trained


def test_errors_of_another_score_are_warned_of(stand_in: Callable[..., Any]) -> None:
    lab = stand_in(num_groups=2)
    HOA().collect(lab)
    lab.given_affinity = lab.saved
    HOA(score="leading_metric").collect(lab)
    assert lab.said[-1] == "Warning: the given errors are by `score = loss`, not `leading_metric`."


def test_mtg_keeps_to_the_solvers_limits(stand_in: Callable[..., Any]) -> None:
    lab = stand_in(num_groups=3, min_size=2, max_size=3)
    plan = MTG(num_trained=4).collect(lab)
    assert sum(len(group) > 1 for group in lab.trained) == 4
    assert {len(group) for group in lab.trained} <= {1, 2, 3}  # alone: what gains refer to
    assert all(2 <= len(group) <= 3 for group in groups_of(plan))
    alone = stand_in(num_groups=6, max_size=1)
    assert len(MTG().collect(alone).groups) == 6
    assert len(alone.trained) == 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HOA(score="accuracy"), r"one of loss, leading_metric.*method\.score"),  # type: ignore[arg-type]
        (lambda: MTG(acquire="best"), r"one of total, per_task, random.*method\.acquire"),  # type: ignore[arg-type]
        (lambda: MTG(num_trained=0), r"at least 1.*method\.num_trained"),
        (lambda: GainPredictor(patience=0), r"`patience = 0`.*method\.predictor"),
        (lambda: GainPredictor(lr=0.0), r"`lr` above 0.*`lr = 0\.0`"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("method", [HOA(), MTG(num_trained=3)], ids=["hoa", "mtg"])
def test_what_was_trained_to_plan_is_not_trained_again(tmp_path: Path, method: Any) -> None:
    store = tmp_path / "store"
    outcome = run(toy_setup(tmp_path / "first", method=method, store=store))
    trained = [tuple(t["tasks"]) for t in outcome.result["trainings"]]
    assert len(trained) == len(set(trained))
    assert {(name,) for name in NAMES} <= set(trained)
    assert sum(len(group) == 2 for group in trained) == (3 if isinstance(method, HOA) else 2)
    assert set(outcome.result["single_task"]) == set(NAMES)
    again = run(toy_setup(tmp_path / "second", method=method, store=store))
    assert all(t["reused"] for t in again.result["trainings"])
    assert again.result["scores"] == outcome.result["scores"]
    if isinstance(method, HOA):
        found = json.loads((outcome.folder / "affinity.json").read_text())
        losses = {tuple(t["tasks"]): t["scores"]["val"] for t in outcome.result["trainings"]}
        assert found["values"][0][2] == losses["a", "c"]["c"]["loss"]
        assert found["values"][1][1] == losses["b",]["b"]["loss"]
        joint = run(toy_setup(tmp_path / "hps", method=HPS(), store=store))
        assert joint.result["single_task"] == outcome.result["single_task"]


def test_a_plan_from_given_errors_is_not_chosen_by_val(tmp_path: Path) -> None:
    errors = tmp_path / "errors.json"
    errors.write_text(Affinity(NAMES, np.full((3, 3), 1.0), 1, "hoa").to_json())
    setup = toy_setup(tmp_path, method=HOA(), affinity=errors)
    assert "the plan" not in _chosen_by_val(setup, None)
    assert "the plan" in _chosen_by_val(toy_setup(tmp_path, method=HOA()), None)
    assert "the plan" in _chosen_by_val(toy_setup(tmp_path, method=MTG(), affinity=errors), None)
