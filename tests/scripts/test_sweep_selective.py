"""The comparison of selective updates: its rows, and what it makes of results."""

import subprocess
from argparse import Namespace

import pytest

from mtlrun._catalogue import options
from mtlrun.config import compose
from tests.scripts.loading import imported


@pytest.fixture(scope="module")
def sweep():
    with imported("sweep_selective") as module:
        yield module


def result(value, *, groups=None, steps=None):
    learned = {}
    if groups is not None:
        learned = {"groups_per_batch": {"mean": groups, "last": 1}, "steps_per_batch": steps}
    return {
        "tasks": [{"name": "depth", "metrics": ["abs_error"], "directions": {"abs_error": False}}],
        "scores": {"test": {"depth": {"abs_error": value}}},
        "trainings": [{"num_steps": 100, "seconds": 7.0, "learned": learned}],
    }


def test_the_main_table_holds_every_weighting_and_both_variants(sweep):
    names = [row.name for row in sweep.tables()["main"]]
    assert names[:2] == ["single_task", "hps equal"]
    assert {f"hps {name}" for name in options("weighting")} <= set(names)
    assert {"selective", "selective code"} <= set(names)


def test_only_groupings_that_read_the_affinity_are_given_a_warm_up(sweep):
    rows = sweep.tables()["grouping"]
    warmed = {row.name for row in rows if any("method.warmup" in word for word in row.words)}
    waiting = ("heterogeneous", "cliques", "affinity_propagation")
    assert warmed == {"selective", *(f"selective {name}" for name in waiting)}


@pytest.mark.slow
def test_every_row_is_a_configuration_and_no_two_of_a_table_are_the_same(sweep, tmp_path):
    seen = {}
    for rows in sweep.tables().values():
        assert len({(row.words, row.times) for row in rows}) == len(rows)
        for row in rows:
            assert seen.setdefault(row.name, row) == row  # one folder, one setting
    for row in seen.values():
        if not row.name.startswith("hps") or row.name == "hps equal":
            words = sweep.common(tmp_path, sweep.TASKS, 0, 1)
            compose([*words, *row.words])


def test_a_line_is_the_mean_over_seeds_of_relative_changes(sweep):
    references = [result(1.0), result(2.0)]
    found = [result(0.9, groups=1.5, steps=2.0), result(1.6, groups=2.5, steps=3.0)]
    line = sweep.line(sweep.OURS, found, references)
    assert (line["delta_m"], line["delta_m_std"]) == ("15.00", "7.07")  # of 10 and 20 percent
    assert (line["groups"], line["steps"], line["seconds"]) == ("2.00", 250, 7)
    assert sweep.line(sweep.JOINT, references, references)["steps"] == 100
    assert line["depth abs_error"] == "1.25"


def test_a_row_that_diverged_is_empty_and_other_failures_are_not_hidden(
    sweep, monkeypatch, tmp_path
):
    def fail(code):
        def failing(words, folder):
            raise subprocess.CalledProcessError(code, "mtlrun")

        return failing

    chosen = Namespace(folder=tmp_path, tasks=["depth"], epochs=1, set=[])
    monkeypatch.setattr(sweep._sweep, "run", fail(4))
    assert sweep.run(sweep.OURS, 0, chosen) is None
    assert sweep.line(sweep.OURS, [None, result(1.0)], [result(1.0)] * 2) == {"method": "selective"}
    table = sweep.table([{"method": "selective"}], ["method", "delta_m"])
    assert table.splitlines()[2] == "| selective |       - |"
    monkeypatch.setattr(sweep._sweep, "run", fail(1))
    with pytest.raises(subprocess.CalledProcessError):
        sweep.run(sweep.OURS, 0, chosen)
