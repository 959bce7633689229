"""The tables of variational multi-task learning: runs that the command takes, and what is made of them."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mtlrun import config
from tests.scripts.loading import imported


@pytest.fixture(scope="module")
def sweep() -> Iterator[ModuleType]:
    """The script as a module."""
    with imported("sweep_vmtl") as module:
        yield module


@pytest.mark.parametrize("name", ["methods", "priors", "bayes"])
def test_every_run_of_a_table_is_one_of_the_commands(
    sweep: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[Path, list[str]] = {}
    monkeypatch.setattr(
        sweep._sweep, "run", lambda words, folder, inside: asked.update({folder: words})
    )
    options = Namespace(
        features=Path("features"), iterations=150, device="cpu", folder=Path("outputs/vmtl"), set=[]
    )
    for row in sweep.TABLES[name]:
        sweep.result_of(sweep.Cell(row, "surf", 0.05), 3, options)
    assert len(asked) == len(sweep.TABLES[name])
    for folder, words in asked.items():
        composed = config.compose([*words, f"folder={folder}"])
        assert composed.folder == folder
        values = composed.values
        assert (values["seed"], values["trainer"]["epochs"]) == (3, 150)
        assert values["scheduler"]["every"] == 30  # of 3000 in 15000


def test_rows_are_chosen_by_name_in_the_tables_order(sweep: ModuleType) -> None:
    assert sweep.rows_of("methods", ["vmtl", "bmtl"]) == [sweep.plain("bmtl"), sweep.plain("vmtl")]
    assert sweep.rows_of("priors", ["bmtl"]) == []
    assert sweep.rows_of("bayes", None) == sweep.TABLES["bayes"]


def test_rows_that_are_the_same_runs_share_a_folder(sweep: ModuleType) -> None:
    folders = [
        {row.name: row.folder for row in sweep.TABLES[name]} for name in ("methods", "bayes")
    ]
    assert folders[0]["bmtl"] == folders[1]["bmtl"] == "bmtl"
    assert folders[0]["vmtl"] == folders[1]["z and w random"] == "vmtl"
    assert folders[1]["z random"] == "vmtl-bayesian_w-false"


def test_the_divergence_of_classifiers_ends_at_the_same_weight(sweep: ModuleType) -> None:
    words = dict(
        word.split("=") for word in sweep.schedules(1500, sweep.Row("vmtl", ("method=vmtl",)))
    )
    assert float(words["method.divergences.w"]) * 1500 == pytest.approx(4e-7 * 15_000)
    assert "method.temperature.every" not in sweep.schedules(1500, sweep.plain("bmtl"))


def test_an_average_is_over_domains_in_percent(sweep: ModuleType) -> None:
    scores = {"amazon": {"accuracy": 0.5}, "dslr": {"accuracy": 1.0}}
    assert sweep.average({"scores": {"test": scores}}) == pytest.approx(75.0)
