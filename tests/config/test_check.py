"""Settings and the constructors that they are for."""

from pathlib import Path
from typing import Any

import pytest

from mtlrun._config_check import ConfigError, Factory, read_target
from tests.config import fakes

METHOD = {"_target_": "tests.config.fakes.FakeMethod", "needed": 1}


def _problems(node: dict[str, Any], *, num_given: int = 0) -> list[str]:
    problems: list[str] = []
    read_target(node, "method", problems, num_given=num_given)
    return problems


def _factory(node: dict[str, Any]) -> Factory:
    problems: list[str] = []
    factory = read_target(node, "method", problems)
    assert problems == []
    assert factory is not None
    return factory


def test_values_arrive_in_the_types_of_the_annotations() -> None:
    settings = {"pair": [3, 4], "file": "a/b", "ratio": 1, "table": {"x": 1}, "names": ["n"]}
    built = _factory(METHOD | settings)()
    assert built.settings["needed"] == 1.0
    assert built.settings["pair"] == (3, 4)
    assert built.settings["file"] == Path("a/b")
    assert isinstance(built.settings["ratio"], float)


def test_all_problems_are_found_at_once_with_paths_values_and_near_misses() -> None:
    node = METHOD | {"kind": "c", "ratoi": 0.1, "pair": [1], "names": "ab"}
    del node["needed"]
    problems = _problems(node)
    assert len(problems) == 5
    text = "\n".join(problems)
    assert "`method.kind` should be one of 'a', 'b'. Found `method.kind = 'c'`." in text
    assert "`method.ratoi` is no setting" in text
    assert "Did you mean `method.ratio`?" in text
    assert "`method.pair` should be a list of 2" in text
    assert "`method.needed` is needed by" in text


def test_arguments_that_a_run_gives_cannot_be_set() -> None:
    node = {"_target_": "tests.config.fakes.Backbone", "inputs": 3}
    assert _problems(node, num_given=1) == ["`method.inputs` is given by the run. Remove it."]
    assert _problems({"_target_": "tests.config.fakes.Backbone"}, num_given=1) == []


def test_class_without_a_constructor_takes_no_settings() -> None:
    node = {"_target_": "mtlrun.engine.schedules.Constant", "every": 3}
    assert "Its settings: none." in _problems(node)[0]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "should be the dotted name of a class. Found None."),
        ("Backbone", "should be the dotted name of a class. Found 'Backbone'."),
        ("tests.config.fakse.Backbone", "no module `tests.config.fakse`."),
        ("tests.config.fakes.Bakbone", "Did you mean `tests.config.fakes.Backbone`"),
    ],
)
def test_target_that_does_not_exist_is_named(target: Any, message: str) -> None:
    assert message in _problems({"_target_": target})[0]


def test_target_whose_package_is_not_installed_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needy_target.py").write_text("import surely_not_installed\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    problems = _problems({"_target_": "needy_target.Thing"})
    assert "needs the package `surely_not_installed`. Install it" in problems[0]


def test_nested_targets_are_checked_and_built() -> None:
    square = {"_target_": "tests.config.fakes.Square"}
    assert isinstance(_factory(METHOD | {"shape": square})().settings["shape"], fakes.Square)
    wrong = {"_target_": "tests.config.fakes.Shape", "sides": "four"}
    assert (
        "`method.shape.sides` should be a whole number" in _problems(METHOD | {"shape": wrong})[0]
    )
    other = {"_target_": "tests.config.fakes.Solver"}
    found = _problems(METHOD | {"shape": other})[0]
    assert "`method.shape` should be tests.config.fakes.Shape or null." in found
    listed = {"anything": [square, {"inner": square}]}
    first, second = _factory(METHOD | listed)().settings["anything"]
    assert isinstance(first, fakes.Square)
    assert isinstance(second["inner"], fakes.Square)


def test_value_that_must_be_set_says_so() -> None:
    assert _problems(METHOD | {"ratio": "???"}) == [
        "`method.ratio` has no default. Set method.ratio=..."
    ]


def test_refusal_of_a_constructor_names_the_place() -> None:
    factory = Factory(fakes.Solver, {"num_groups": 0}, "solver")
    with pytest.raises(ConfigError, match="In `solver`: `num_groups` should be at least 1"):
        factory()


def test_factory_is_identified_by_constructor_and_arguments() -> None:
    square = {"_target_": "tests.config.fakes.Square"}
    identity = _factory(METHOD | {"shape": square, "file": "x"}).identity()
    assert identity["kind"] == "tests.config.fakes.FakeMethod"
    assert identity["shape"] == {"kind": "tests.config.fakes.Square"}
    assert identity["file"] == "x"
