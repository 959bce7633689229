"""Figures of the weights of other tasks in priors."""

import csv
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from mtlrun.reports.figures import illustrate

SHARES = {
    "HUFL": {"HULL": 0.75, "OT": 0.25}, "HULL": {"HUFL": 0.5, "OT": 0.5},
    "OT": {"HUFL": 0.125, "HULL": 0.875},
}  # fmt: skip


@pytest.mark.parametrize("names", [["z", "w"], ["both"]], ids=str)
def test_mixing_weights_are_drawn_and_their_csv_is_lossless(
    names: list[str], result: dict[str, Any], tmp_path: Path
) -> None:
    result["trainings"][0]["learned"] = {f"mixing_{name}": SHARES for name in names}
    illustrate(tmp_path, result)
    assert matplotlib.image.imread(tmp_path / "figures" / "mixing.png").std() > 0.01
    with (tmp_path / "figures" / "mixing.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["prior", "task", "other", "weight"]
    assert rows == [
        [name, task, other, str(share)]
        for name in names
        for task, own in SHARES.items()
        for other, share in own.items()
    ]


def test_several_trainings_have_figures_with_numbers(
    result: dict[str, Any], tmp_path: Path
) -> None:
    two = {"HUFL": {"HULL": 1.0}, "HULL": {"HUFL": 1.0}}
    for training in result["trainings"][:2]:
        training["learned"] = {"mixing_z": two}
    illustrate(tmp_path, result)
    found = {path.name for path in (tmp_path / "figures").glob("mixing*.png")}
    assert found == {"mixing_1.png", "mixing_2.png"}


def test_nothing_is_drawn_where_nothing_is_mixed(result: dict[str, Any], tmp_path: Path) -> None:
    illustrate(tmp_path, result)
    assert not list((tmp_path / "figures").glob("mixing*"))
