"""Figures of groups that change while a model trains, each with its numbers."""

import json
from pathlib import Path
from typing import Any

import pytest

from mtlrun.reports._moving_groups import (
    draw_affinity_traces,
    draw_co_grouping,
    draw_group_counts,
    draw_moving_groups,
)
from mtlrun.reports.figures import illustrate
from mtlrun.reports.learned import learned_lines
from tests.reports.test_figures import is_figure, log_line, read_table


def names(size: int) -> list[str]:
    return [f"task_{k}" for k in range(size)]


def shares(size: int) -> dict[str, dict[str, float]]:
    return {i: {j: 1.0 if i == j else 0.25 for j in names(size)} for i in names(size)}


def line(step: int, size: int = 3, mean: float = 2.0) -> dict[str, Any]:
    affinities = {
        f"affinity/{i}/{j}": 1e-4 * step * (a - b + 0.5)
        for a, i in enumerate(names(size))
        for b, j in enumerate(names(size))
    }
    return {"training": "k", "step": step, "groups": 2.0, "groups_mean": mean} | affinities


def learned(size: int) -> dict[str, Any]:
    return {"co_grouping": shares(size), "groups_per_batch": {"mean": 1.5, "last": 2}}


@pytest.mark.parametrize("size", [1, 2, 5, 11])
def test_all_three_are_drawn_for_any_number_of_tasks(size: int, tmp_path: Path) -> None:
    lines = [line(step, size) for step in (10, 20, 30)]
    draw_moving_groups(lines, learned(size), tmp_path)
    for name in ("group_counts", "co_grouping", "affinity_traces"):
        assert is_figure(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.csv").is_file()


def test_counts_between_points_follow_from_the_means_since_the_start(tmp_path: Path) -> None:
    # 3 groups on each of 10 batches, then 1 on each of 5, then 2 on each of 5
    lines = [line(10, mean=3.0), line(15, mean=35 / 15), line(20, mean=45 / 20)]
    assert draw_group_counts([*lines, {"step": 20, "val/a/loss": 1.0}], tmp_path / "counts.png")
    table = read_table(tmp_path / "counts.csv")
    assert table[0] == ["step", "groups", "groups_mean"]
    found = [[float(v) for v in row] for row in table[1:]]
    assert [row[1] for row in found] == pytest.approx([3.0, 1.0, 2.0])
    assert [row[2] for row in found] == [3.0, 35 / 15, 2.25]


def test_the_shares_of_batches_are_lossless(tmp_path: Path) -> None:
    draw_co_grouping(shares(3), tmp_path / "shares.png")
    assert read_table(tmp_path / "shares.csv")[:2] == [
        ["task", "task_0", "task_1", "task_2"],
        ["task_0", "1.0", "0.25", "0.25"],
    ]


def test_traces_hold_every_pair_and_every_point(tmp_path: Path) -> None:
    lines = [line(step) for step in (1, 2)]
    assert draw_affinity_traces(lines, tmp_path / "traces.png")
    table = read_table(tmp_path / "traces.csv")
    assert table[0][:3] == ["step", "task_0 to task_0", "task_0 to task_1"]
    assert len(table) == 3
    assert len(table[0]) == 10
    assert float(table[2][2]) == lines[1]["affinity/task_0/task_1"]


def test_a_log_of_another_rule_draws_nothing(tmp_path: Path) -> None:
    lines = [{"training": "k", "step": 3, "train/a/loss": 1.0}]
    assert not draw_group_counts(lines, tmp_path / "counts.png")
    assert not draw_affinity_traces(lines, tmp_path / "traces.png")
    assert list(tmp_path.iterdir()) == []


def test_traces_that_are_all_0_are_drawn(tmp_path: Path) -> None:
    assert draw_affinity_traces([line(0), line(0)], tmp_path / "traces.png")
    assert is_figure(tmp_path / "traces.png")


@pytest.mark.parametrize("moving", [1, 2])
def test_a_run_gets_its_figures_numbered_where_several_trainings_moved(
    moving: int, result: dict[str, Any], tmp_path: Path
) -> None:
    log = log_line("c", 1, train__OT__loss=1.0)
    for training in result["trainings"][-moving:]:
        training["learned"] = learned(3)
        log += json.dumps(json.loads(log_line("k", 7)) | line(7) | {"training": training["key"]})
        log += "\n"
    (tmp_path / "metrics.jsonl").write_text(log)
    illustrate(tmp_path, result)
    found = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    suffixes = [""] if moving == 1 else ["_1", "_2"]
    drawn = {
        f"{n}{s}" for n in ("group_counts", "co_grouping", "affinity_traces") for s in suffixes
    }
    assert found == {"curves", "groups"} | drawn


def test_the_summary_tells_how_many_groups_there_were(result: dict[str, Any]) -> None:
    result["trainings"][1]["learned"] = learned(2)
    assert learned_lines(result) == ["groups per batch: mean 1.500, last 2"]
