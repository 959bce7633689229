"""Tables in experiments: what their files may hold, and the command lines that they stand for."""

from pathlib import Path
from textwrap import dedent

import pytest

from mtlrun import config
from mtlrun._config_check import ConfigError
from mtlrun._experiment import beside, read_table, stack
from mtlrun.config import compose

TABLE = """
    # @package _global_
    # A table.
    sweep:
      seeds: [0, 5]
      common: data=b trainer.batch_size=3
      parts:
        - rows: {STL: method=hps}
        - rows:
            'Ours (a, b)': method=other
            Theirs: method=hps backbone=narrow backbone.width=3
          settings: {n=1: solver.num_groups=1, n=2: solver=y solver.num_groups=2}
      miniature: data=a recipe=none trainer=smoke backbone=wide
"""


@pytest.fixture
def table(conf: Path) -> Path:
    """The folder of configuration files with a table."""
    _write(conf, TABLE)
    return conf


def _write(conf: Path, text: str) -> None:
    (conf / "experiment" / "table.yaml").write_text(dedent(text).strip() + "\n")


def _problems(conf: Path, *words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config.compose(["experiment=table", *words], conf=conf)
    return "\n".join(caught.value.problems)


def test_stronger_words_replace_weaker_ones_and_what_belongs_to_another_file() -> None:
    weak = ["data=a", "data.size=3", "seed=1", "trainer.epochs=2"]
    assert stack([weak, ["data=b"]]) == ["seed=1", "trainer.epochs=2", "data=b"]
    assert stack([weak, ["data=a"]]) == ["data.size=3", "seed=1", "trainer.epochs=2", "data=a"]
    assert stack([weak, ["data.size=4"], ["seed=2"]]) == [
        "data=a", "trainer.epochs=2", "data.size=4", "seed=2",
    ]  # fmt: skip


def test_a_setting_changes_the_method_that_its_row_chooses() -> None:
    setting, row = ["method.beta=0.1", "solver=y"], ["method=other", "solver=z"]
    assert beside(setting, row) == ["method.beta=0.1", "method=other", "solver=z"]
    beta = compose(["experiment=selective/d4", "row=Ours", "setting=beta=0.1"])
    assert beta.values["method"]["beta"] == 0.1


def test_a_table_is_swept_over_seeds_rows_and_their_settings(table: Path) -> None:
    lines = config.expand(["experiment=table", "trainer.epochs=4"], conf=table)
    first = [line[2:] for line in lines if line[-1] == "seed=0"]
    assert first == [
        ["row=STL", "seed=0"],
        ["row=Ours (a, b)", "setting=n=1", "seed=0"],
        ["row=Theirs", "setting=n=1", "seed=0"],
        ["row=Ours (a, b)", "setting=n=2", "seed=0"],
        ["row=Theirs", "setting=n=2", "seed=0"],
    ]
    assert len(lines) == 10
    assert all(line[:2] == ["experiment=table", "trainer.epochs=4"] for line in lines)


def test_rows_settings_and_seeds_can_be_chosen(table: Path) -> None:
    def lines(*words: str) -> list[list[str]]:
        return [own[1:] for own in config.expand(["experiment=table", *words], conf=table)]

    assert lines("row=Ours (a, b)", "setting=n=2", "miniature=true") == [
        ["row=Ours (a, b)", "setting=n=2", "miniature=true", "seed=0"]
    ]
    assert lines("row='Ours (a, b)'", "setting=n=2", "seed=1,2") == [
        ["seed=1", "row=Ours (a, b)", "setting=n=2"],
        ["seed=2", "row=Ours (a, b)", "setting=n=2"],
    ]
    assert len(lines("row=STL,Theirs", "seed=0")) == 3


def test_a_rows_words_are_those_of_its_run_and_its_name_reaches_the_run(table: Path) -> None:
    words = ["experiment=table", "row=Ours (a, b)", "setting=n=2", "seed=5"]
    found = config.compose(words, conf=table)
    assert (found.choices["data"], found.choices["method"]) == ("b", "other")
    assert found.values["solver"]["num_groups"] == 2
    assert found.values["trainer"]["batch_size"] == 3
    assert (found.values["row"], found.values["setting"]) == ("Ours (a, b)", "n=2")
    assert not found.values["miniature"]
    assert str(found.folder).startswith("out/b/other/experiment=table,row=Ours-a-b,setting=n=2-")
    assert found.set_keys == ("experiment", "seed", "row", "setting")


def test_miniature_replaces_what_belongs_to_the_large_files(table: Path) -> None:
    words = ["experiment=table", "row=Theirs", "setting=n=1", "miniature=true"]
    found = config.compose(words, conf=table)
    assert (found.choices["data"], found.choices["backbone"]) == ("a", "wide")
    assert found.values["trainer"]["batch_size"] == 4  # smoke's, not the table's
    assert found.values["backbone"] == {
        "_target_": "tests.config.fakes.WideBackbone",
        "heads": 2,
    }
    assert found.values["solver"]["num_groups"] == 1


def test_the_command_line_wins_over_a_row_and_is_named_by_the_folder(table: Path) -> None:
    words = ["experiment=table", "row=Theirs", "setting=n=1"]
    plain = config.compose(words, conf=table)
    same = config.compose([*words, "solver.num_groups=1"], conf=table)
    others = [
        config.compose([*words, word], conf=table)
        for word in ("solver.num_groups=3", "solver.num_groups=2", "backbone=wide", "method=other")
    ]
    assert [own.values["solver"]["num_groups"] for own in others] == [3, 2, 1, 1]
    assert others[2].values["backbone"]["heads"] == 7  # the recipe of b
    assert same.folder == plain.folder
    assert len({plain.folder, *(own.folder for own in others)}) == 5


def test_another_seed_of_a_composed_run_is_that_of_its_own_command_line(table: Path) -> None:
    words = ["experiment=table", "row=STL"]
    folder, values = config.compose([*words, "seed=0"], conf=table).place(7)
    alone = config.compose([*words, "seed=7"], conf=table)
    assert (folder, values) == (alone.folder, alone.values)


def test_a_table_without_a_row_says_what_to_do(table: Path) -> None:
    found = _problems(table)
    assert "a table of 10 runs" in found
    assert "`mtlrun -m experiment=table`" in found
    assert "STL; Ours (a, b); Theirs" in found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["row=Their"], "Did you mean `row=Theirs`?"),
        (["row=Theirs"], "Set setting= to one of: n=1, n=2."),
        (["row=Theirs", "setting=n=3"], "`setting=n=3` is not in experiment=table."),
        (["row=STL", "setting=n=1"], "such a row in such a setting"),
        (["row=STL", "miniature=perhaps"], "true or false"),
    ],
)
def test_what_a_table_lacks_is_named(table: Path, words: list[str], expected: str) -> None:
    assert expected in _problems(table, *words)


def test_rows_belong_to_tables(conf: Path) -> None:
    for word in ("row=a", "miniature=true"):
        with pytest.raises(ConfigError, match="with an experiment that is a table"):
            config.compose(["experiment=row", word], conf=conf)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sweep: [1]", "should be a mapping"),
        ("sweep: {seeds: [0]}", "either `rows`"),
        ("sweep: {seeds: [0], rows: {a: method=hps}, parts: []}", "either `rows`"),
        ("sweep: {seeds: [0], row: {a: method=hps}, rows: {}}", "Did you mean `rows`"),
        ("sweep: {seeds: [0, 0], rows: {a: method=hps}}", "each once"),
        ("sweep: {seeds: [a], rows: {a: method=hps}}", "whole numbers"),
        ("sweep: {rows: {a: method=hps}}", "`sweep.seeds`"),
        ("sweep: {seeds: [0], rows: {a: method hps}}", "`sweep.rows.a` should be words"),
        ("sweep: {seeds: [0], rows: [a]}", "should have `rows`"),
        (
            "sweep: {seeds: [0], parts: [{rows: {a: seed=1}}, {rows: {a: seed=2}}]}",
            "should stand once",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_named(conf: Path, text: str, expected: str) -> None:
    _write(conf, f"# @package _global_\n# A table.\n{text}")
    with pytest.raises(ConfigError) as caught:
        read_table("table", conf)
    assert expected in "\n".join(caught.value.problems)
