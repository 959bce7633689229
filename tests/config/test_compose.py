"""From a command line to a checked configuration."""

from pathlib import Path

import pytest

from mtlrun._config_check import ConfigError
from mtlrun.config import Composed, compose, expand, to_yaml


def _problems(words: list[str], conf: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        compose(words, conf=conf)
    return "\n".join(caught.value.problems)


def _at(composed: Composed, key: str) -> object:
    node: object = composed.values
    for part in key.split("."):
        assert isinstance(node, dict)
        node = node[part]
    return node


def test_defaults_compose_and_interpolations_are_resolved(conf: Path) -> None:
    composed = compose([], conf=conf)
    assert composed.choices["data"] == "a"
    assert "recipe" not in composed.choices
    assert composed.values["store"] == "out/store"
    assert composed.folder == Path("out/a/hps/default/seed0")


def test_method_names_its_default_solver_and_the_command_line_wins(conf: Path) -> None:
    assert _at(compose(["method=other"], conf=conf), "solver.num_groups") == 3
    assert _at(compose(["method=other", "solver=x"], conf=conf), "solver.num_groups") == 2


def test_recipe_of_the_data_applies_by_itself(conf: Path) -> None:
    composed = compose(["data=b"], conf=conf)
    assert composed.choices["recipe"] == "b"
    assert _at(composed, "backbone.heads") == 7
    assert _at(composed, "optimizer.lr") == 0.5
    assert _at(composed, "select_on") == "test"


def test_recipe_of_data_and_method_replaces_that_of_the_data(conf: Path) -> None:
    composed = compose(["data=b", "method=other"], conf=conf)
    assert composed.choices["recipe"] == "b_other"
    assert composed.choices["backbone"] == "narrow"
    assert _at(composed, "trainer.epochs") == 99


@pytest.mark.parametrize("word", ["recipe=none", "recipe=null"])
def test_recipe_can_be_switched_off(conf: Path, word: str) -> None:
    composed = compose(["data=b", word], conf=conf)
    assert "recipe" not in composed.choices
    assert _at(composed, "trainer.epochs") == 10


def test_recipe_can_be_chosen_for_other_data(conf: Path) -> None:
    assert _at(compose(["recipe=b"], conf=conf), "trainer.epochs") == 77


def test_command_line_wins_over_the_recipe(conf: Path) -> None:
    composed = compose(["data=b", "trainer.epochs=3", "optimizer.lr=0.25"], conf=conf)
    assert _at(composed, "trainer.epochs") == 3
    assert _at(composed, "optimizer.lr") == 0.25


def test_another_file_than_the_recipes_begins_from_its_own_values(conf: Path) -> None:
    words = ["data=b", "trainer=smoke", "backbone=narrow", "backbone.width=9", "optimizer=sgd"]
    composed = compose(words, conf=conf)
    assert _at(composed, "trainer.epochs") == 1
    assert composed.values["backbone"] == {"_target_": "tests.config.fakes.Backbone", "width": 9}
    assert _at(composed, "optimizer.lr") == 0.5  # the recipe's own choice keeps its values


def test_experiment_wins_over_the_recipe_of_its_data(conf: Path) -> None:
    composed = compose(["experiment=row"], conf=conf)
    assert composed.choices["recipe"] == "b"
    assert _at(composed, "trainer.batch_size") == 3
    assert _at(composed, "trainer.epochs") == 77
    assert composed.choices["optimizer"] == "adam"
    assert _at(composed, "optimizer.lr") == 1e-3  # 0.5 was meant for sgd


def test_everything_that_is_wrong_is_told_at_once(conf: Path) -> None:
    words = ["sed=3", "methd=x", "trainer.epoch=5", "solver=z", "trainer.batch_size=many",
             "data.size=[1", "+trainer.extra=1", "+more=1", "phase=plan", "optimizer.lr=x"]  # fmt: skip
    text = _problems(words, conf)
    assert "`sed` is no setting. Did you mean `seed`?" in text
    assert "`methd` is no setting. Did you mean `method`?" in text
    assert "`trainer.epoch` is no setting. Did you mean `trainer.epochs`?" in text
    assert "`solver=z` does not exist. Options: x, y." in text
    assert "`trainer.batch_size` should be a whole number. Found" in text
    assert "`data.size=[1` cannot be read" in text
    assert "`trainer.extra` is no setting of mtlrun.engine.settings.TrainerSettings" in text
    assert "`more` is no setting." in text
    assert "`phase` should be one of 'all', 'collect'. Found `phase = 'plan'`." in text
    assert "`optimizer.lr` should be a number" in text


def test_a_table_is_not_changed_from_the_command_line(conf: Path) -> None:
    for word in ("sweep.seeds=[5]", "+sweep.rows.Mine='method=hps'", "++sweep.common=null"):
        text = _problems([word], conf)
        assert "`sweep` should be set by an experiment's file alone." in text
        assert word in text


@pytest.mark.parametrize("key", ["plan", "affinity", "folder", "outputs"])
def test_the_name_of_a_runs_folder_needs_no_quotes(conf: Path, key: str) -> None:
    path = "outputs/a/tag/backbone.width=8,data.tasks-315e3ebb/seed0/plan.json"
    assert compose([f"{key}={path}"], conf=conf).top[key] == Path(path)


def test_unknown_option_suggests_the_nearest(conf: Path) -> None:
    assert "Did you mean `backbone=narrow`?" in _problems(["backbone=narow"], conf)


def test_values_of_an_unknown_option_are_not_judged(conf: Path) -> None:
    assert "\n" not in _problems(["backbone=wid", "backbone.heads=3"], conf)


def test_refused_values_are_told_together_with_others(conf: Path) -> None:
    text = _problems(["solver.num_groups=0", "trainer.epochs=0", "optimizer.lr=-1", "seed=x"], conf)
    assert text.count("In `") == 3
    assert "`seed` should be a whole number" in text


def test_several_values_without_a_sweep_say_the_way_out(conf: Path) -> None:
    assert "Add -m for one run each" in _problems(["seed=0,1"], conf)


def test_group_can_be_chosen_once_only(conf: Path) -> None:
    assert "chosen once" in _problems(["optimizer=adam", "optimizer=sgd"], conf)


def test_missing_file_of_the_defaults_list_is_told(conf: Path) -> None:
    (conf / "data" / "a.yaml").unlink()
    assert "Could not find 'data/a'" in _problems([], conf)


def test_data_root_of_the_environment_fills_a_root_that_is_null(conf: Path, tmp_path: Path) -> None:
    composed = compose(["data=b"], conf=conf, data_root=tmp_path)
    assert _at(composed, "data.root") == str(tmp_path / "b")
    composed = compose(["data.root=mine"], conf=conf, data_root=tmp_path)
    assert _at(composed, "data.root") == "mine"


def test_yaml_reads_back_as_the_same_values(conf: Path) -> None:
    import yaml

    composed = compose(["data=b"], conf=conf)
    assert yaml.safe_load(to_yaml(composed)) == composed.values


def test_sweep_expands_to_every_combination(conf: Path) -> None:
    runs = expand(["method=hps,other", "seed=range(0,2)", "data=b"], conf=conf)
    assert runs == [
        ["method=hps", "seed=0", "data=b"],
        ["method=hps", "seed=1", "data=b"],
        ["method=other", "seed=0", "data=b"],
        ["method=other", "seed=1", "data=b"],
    ]
    assert expand(["trainer=glob(*)"], conf=conf) == [["trainer=default"], ["trainer=smoke"]]
    assert expand(["solver=choice(x,y)"], conf=conf) == [["solver=x"], ["solver=y"]]
    assert expand(["data.split=[1,2],[3,4]"], conf=conf) == [
        ["data.split=[1,2]"],
        ["data.split=[3,4]"],
    ]
    assert expand(["+trainer.x=1,2", "bad=[1"], conf=conf) == [
        ["+trainer.x=1", "bad=[1"],
        ["+trainer.x=2", "bad=[1"],
    ]
