"""Lines about gates, branch points and weights."""

from typing import Any

from mtlrun.reports.learned import learned_lines


def told(result: dict[str, Any], **learned: Any) -> list[str]:
    for training in result["trainings"]:
        training["learned"] = learned
    return learned_lines(result)


def test_nothing_learned_is_no_line(result: dict[str, Any]) -> None:
    assert learned_lines(result) == []


def test_gates_are_told_by_training_and_missing_ones_dashed(result: dict[str, Any]) -> None:
    lines = told(result, alpha={"HUFL": 0.5, "OT": None}, branch_points={"HUFL": 1, "OT": 1})
    assert lines == ["alpha of HUFL+HULL: HUFL 0.500, OT -", "alpha of HULL+OT: HUFL 0.500, OT -"]


def test_branch_points_and_weights_come_from_the_plan(result: dict[str, Any]) -> None:
    result["trainings"] = result["trainings"][:2]
    result["plan"]["settings"] = {
        "branch_points": {"HUFL": 6, "HULL": 4}, "weights": {"HUFL": 0.25, "HULL": 0.75},
    }  # fmt: skip
    assert told(result, alpha={"HUFL": None, "HULL": 0.25}, branch_points={"HUFL": 6}) == [
        "branch points: HUFL 6, HULL 4",
        "weights: HUFL 0.250, HULL 0.750",
        "alpha: HUFL -, HULL 0.250",
    ]
