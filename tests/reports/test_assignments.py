"""Figures of a learned assignment, each with its numbers."""

import json
from pathlib import Path
from typing import Any

import pytest

from mtlrun.reports._assignments import (
    draw_assignment_map,
    draw_assignment_traces,
    draw_assignments,
)
from mtlrun.reports.figures import illustrate
from mtlrun.reports.summary import _costs
from tests.reports.test_figures import is_figure, log_line, read_table


def names(size: int) -> list[str]:
    return [f"task_{k}" for k in range(size)]


def learned(size: int, groups: int) -> dict[str, Any]:
    row = [0.5 ** (k + 1) for k in range(groups)]
    return {
        "probabilities": dict.fromkeys(names(size), row),
        "group_of": dict.fromkeys(names(size), 0),
    }


def line(step: int, size: int, groups: int) -> dict[str, Any]:
    shares = {
        f"assignment/{name}/{k}": 1 / groups + 1e-3 * step * (k - 1)
        for name in names(size)
        for k in range(groups)
    }
    return {"training": "k", "step": step, "tau": 2.5} | shares


@pytest.mark.parametrize(("size", "groups"), [(1, 1), (2, 3), (5, 9), (40, 4)])
def test_both_are_drawn_for_any_number_of_tasks_and_groups(
    size: int, groups: int, tmp_path: Path
) -> None:
    lines = [line(step, size, groups) for step in (20, 40, 60)]
    draw_assignments(lines, learned(size, groups), tmp_path)
    for name in ("assignment_traces", "assignments"):
        assert is_figure(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.csv").is_file()


def test_traces_hold_every_task_and_group_at_every_point(tmp_path: Path) -> None:
    lines = [line(step, 2, 3) for step in (20, 40)]
    assert draw_assignment_traces([*lines, {"step": 40, "val/a/loss": 1.0}], tmp_path / "t.png")
    table = read_table(tmp_path / "t.csv")
    assert table[0] == ["step", *(f"task_{n} in {k}" for n in range(2) for k in range(3))]
    assert [float(row[6]) for row in table[1:]] == [own["assignment/task_1/2"] for own in lines]


def test_a_log_of_another_rule_draws_nothing(tmp_path: Path) -> None:
    assert not draw_assignment_traces([{"step": 3, "train/a/loss": 1.0}], tmp_path / "t.png")
    assert list(tmp_path.iterdir()) == []


def test_the_map_is_lossless(tmp_path: Path) -> None:
    shares = {"a": [0.1 + 0.2, 0.7], "b": [1.0, 0.0]}
    draw_assignment_map(shares, {"a": 1, "b": 0}, tmp_path / "map.png")
    table = read_table(tmp_path / "map.csv")
    assert table[0] == ["task", "0", "1"]
    assert [[float(v) for v in row[1:]] for row in table[1:]] == list(shares.values())


def test_a_run_gets_its_figures(result: dict[str, Any], tmp_path: Path) -> None:
    training = result["trainings"][0]
    training["learned"] = learned(2, 3)
    log = log_line("c", 1, train__OT__loss=1.0)
    log += json.dumps(json.loads(log_line("k", 7)) | line(7, 2, 3) | {"training": training["key"]})
    (tmp_path / "metrics.jsonl").write_text(log + "\n")
    illustrate(tmp_path, result)
    found = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    assert found == {"curves", "groups", "assignment_traces", "assignments"}


def test_parameters_that_groups_have_in_common_count_once(result: dict[str, Any]) -> None:
    trained = [t for t in result["trainings"] if t["phase"] == "train"]
    before = sum(t["num_parameters"] for t in trained)
    number = len(result["plan"]["groups"])
    assert f"parameters: {before:,} in {number} models" in _costs(result)
    for training in trained:
        training["learned"] = {"common_parameters": 7}
    assert f"parameters: {before - 7 * (number - 1):,} in {number} models" in _costs(result)
