"""The names of run folders."""

from pathlib import Path

import pytest

from mtlrun._config_folder import MAX_LENGTH
from mtlrun.config import compose


def _name(words: list[str], conf: Path) -> str:
    return compose(words, conf=conf).folder.parent.name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "default"),
        (["trainer.epochs=10"], "default"),
        (["solver=x", "logger=none"], "default"),
        (["phase=collect", "store=off", "dry_run=true", "trainer.log_every=5"], "default"),
        (["trainer.epochs=3", "backbone=wide"], "backbone=wide,trainer.epochs=3"),
        (["backbone=wide", "trainer.epochs=3"], "backbone=wide,trainer.epochs=3"),
        (["optimizer.lr=-0.5e-3", "optimizer.lr=1e-4"], "optimizer.lr=0.0001"),
        (["data=b", "recipe=none"], "recipe=none"),
        (["experiment=row"], "experiment=row"),
    ],
)
def test_name_says_what_differs_from_the_defaults(
    conf: Path, words: list[str], expected: str
) -> None:
    assert _name(words, conf) == expected


def test_folder_holds_data_method_and_seed(conf: Path) -> None:
    composed = compose(["data=b", "method=other", "seed=7", "outputs=o"], conf=conf)
    assert composed.folder == Path("o/b/other/default/seed7")
    assert compose(["folder=x/y"], conf=conf).folder == Path("x/y")


def test_words_unfit_for_a_file_system_are_replaced_and_hashed(conf: Path) -> None:
    first = _name(["plan=/a/b.json"], conf)
    second = _name(["plan=/c/b.json"], conf)
    assert first.startswith("plan=b.json-")
    assert second.startswith("plan=b.json-")
    assert first != second
    assert first == _name(["plan=/a/b.json"], conf)


def test_long_names_are_cut_and_stay_apart(conf: Path) -> None:
    words = [f"affinity={'x' * 90}", "trainer.epochs=3"]
    first, second = _name([*words, "plan=a"], conf), _name([*words, "plan=b"], conf)
    assert len(first) <= MAX_LENGTH
    assert first != second
