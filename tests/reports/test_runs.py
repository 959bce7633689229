import json
from pathlib import Path

import pytest

from mtlrun.reports.runs import NoRunsError, collect
from tests.reports.run_folders import SINGLE, result, write_run


def test_runs_are_found_at_any_depth_and_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a" / "b", result("hps", 0, SINGLE))
    found = collect([tmp_path, folder, tmp_path / "a"])
    assert [run.folder for run in found.runs] == [folder]
    assert found.remarks() == []


def test_trainings_of_the_store_are_no_runs(tmp_path: Path) -> None:
    write_run(tmp_path, result("hps", 0, SINGLE))
    entry = tmp_path / "store" / "abc"
    entry.mkdir(parents=True)
    (entry / "result.json").write_text(json.dumps({"key": "abc", "tasks": [], "scores": {}}))
    found = collect([tmp_path])
    assert (len(found.runs), found.remarks()) == (1, [])


def test_what_cannot_be_counted_is_named_and_the_rest_counted(tmp_path: Path) -> None:
    write_run(tmp_path, result("hps", 0, SINGLE))
    cut = write_run(tmp_path, result("hps", 1, SINGLE))
    (cut / "result.json").write_text((cut / "result.json").read_text()[:100])
    write_run(tmp_path, {**result("hps", 2, SINGLE), "format": 2})
    lacking = result("hps", 3, SINGLE)
    del lacking["tasks"], lacking["plan"]
    write_run(tmp_path, lacking)
    write_run(tmp_path, {**result("hps", 4, SINGLE), "scores": "none"})
    (tmp_path / "nyuv2" / "hps" / "default" / "seed5").mkdir()
    unfinished = tmp_path / "nyuv2" / "hps" / "default" / "seed5"
    (unfinished / "config.yaml").write_text("seed: 5\n")
    planned = result("tag", 0, SINGLE)
    del planned["scores"], planned["served_by"]
    write_run(tmp_path, planned)
    found = collect([tmp_path])
    assert [run.seed for run in found.runs] == [0]
    text = "\n".join(found.remarks())
    assert "seed1/result.json: it should hold JSON, and is cut off" in text
    assert "seed2/result.json: its format is 2, and this version reads 1" in text
    assert "tasks, plan should be there" in text
    assert "scores should be there" in text
    assert f"{unfinished}: not finished" in text
    assert "collected and planned only" in text


def test_a_failed_run_names_its_log(tmp_path: Path) -> None:
    write_run(tmp_path, result("hps", 0, SINGLE))
    failed = tmp_path / "nyuv2" / "mgda"
    failed.mkdir()
    (failed / "config.yaml").write_text("")
    (failed / "error.log").write_text("")
    assert f"failed, see {failed / 'error.log'}" in collect([tmp_path]).remarks()[0]


def test_folders_without_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRunsError, match="Found none"):
        collect([tmp_path])
    with pytest.raises(ValueError, match="not there"):
        collect([tmp_path / "nothing"])
    folder = write_run(tmp_path, result("hps", 0, SINGLE))
    with pytest.raises(ValueError, match="a file"):
        collect([folder / "result.json"])
    (folder / "result.json").write_text("{")
    with pytest.raises(NoRunsError, match="cut off or damaged"):
        collect([tmp_path])
