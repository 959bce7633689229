import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from mtlrun.core.grouping import Affinity, Group, Plan
from mtlrun.reports import figures
from mtlrun.reports._canvas import shared_exponent, short_number
from mtlrun.reports._panels import _helps
from mtlrun.reports.figures import draw_affinity, draw_curves, draw_groups, illustrate

TASKS = ("segmentation", "depth", "normals")


def make_affinity(size: int = 3, scale: float = 1.0) -> Affinity:
    values = scale * np.random.default_rng(0).normal(size=(size, size))
    return Affinity(tuple(f"task_{k}" for k in range(size)), values, 7, "tag", scale / 10)


def read_table(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def is_figure(path: Path) -> bool:
    pixels = matplotlib.image.imread(path)
    return pixels.shape[0] > 200 and pixels.shape[1] > 300 and pixels.std() > 0.01


@pytest.mark.parametrize("size", [1, 3, 11])
def test_affinity_is_drawn_and_its_csv_is_lossless(size: int, tmp_path: Path) -> None:
    affinity = make_affinity(size, 1e-6)
    draw_affinity(affinity, tmp_path / "figures" / "affinity.png", title="tag on toy")
    assert is_figure(tmp_path / "figures" / "affinity.png")
    table = read_table(tmp_path / "figures" / "affinity.csv")
    assert table[0] == ["source", *affinity.tasks]
    assert [row[0] for row in table[1:]] == list(affinity.tasks)
    found = np.array([[float(v) for v in row[1:]] for row in table[1:]])
    assert np.array_equal(found, affinity.values)


def test_errors_of_pairs_are_drawn_as_what_they_save(tmp_path: Path) -> None:
    errors = Affinity(("a", "b"), np.array([[2.0, 0.5], [3.0, 1.0]]), 1, "hoa")
    draw_affinity(errors, tmp_path / "affinity.png")
    lines = (tmp_path / "affinity.csv").read_text().split()
    assert lines == ["source,a,b", "a,2.0,0.5", "b,3.0,1.0"]  # what `mtlrun solve` reads
    assert Affinity.from_json(errors.to_json()).helps().tolist() == [[0.0, 0.5], [-1.0, 0.0]]


def test_an_affinity_of_zeros_or_with_unobserved_pairs_is_drawn(tmp_path: Path) -> None:
    values = np.zeros((3, 3))
    draw_affinity(Affinity(TASKS, values, 0, "cosine"), tmp_path / "zeros.png")
    values = values.copy()
    values[0, 1] = np.nan
    draw_affinity(Affinity(TASKS, values, 0, "cosine"), tmp_path / "gaps.png")
    assert is_figure(tmp_path / "gaps.png")


def test_groups_are_drawn_with_who_serves_whom(tmp_path: Path) -> None:
    plan = Plan((Group(TASKS[:2], TASKS[:1]), Group.of(TASKS)), objective=1.0, status="feasible")
    draw_groups(plan, TASKS, tmp_path / "groups.png")
    assert is_figure(tmp_path / "groups.png")
    assert read_table(tmp_path / "groups.csv") == [
        ["group", "task", "serves", "score"],
        ["1", "segmentation", "1", ""],
        ["1", "depth", "0", ""],
        ["2", "segmentation", "1", ""],
        ["2", "depth", "1", ""],
        ["2", "normals", "1", ""],
    ]


def test_groups_say_which_one_was_chosen_and_its_scores(tmp_path: Path) -> None:
    plan = Plan((Group.of(TASKS[:2]), Group.of(TASKS)))
    scores = {TASKS[:2]: {"segmentation": 0.25, "depth": 1.5}}
    draw_groups(
        plan, TASKS, tmp_path / "g.png", scores=scores,
        served_by={"segmentation": TASKS[:2], "depth": TASKS, "normals": TASKS},
    )  # fmt: skip
    assert read_table(tmp_path / "g.csv")[1:4] == [
        ["1", "segmentation", "1", "0.25"],
        ["1", "depth", "0", "1.5"],
        ["2", "segmentation", "0", ""],
    ]


def log_line(training: str, step: int, **numbers: float) -> str:
    line = {"training": training, "title": f"train {training}", "phase": "train", "step": step}
    numbers = {name.replace("__", "/"): value for name, value in numbers.items()}
    return json.dumps(line | {"epoch": step // 10} | numbers) + "\n"


def test_curves_hold_every_loss_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_text(
        log_line("a", 10, train__depth__loss=2.0, train__normals__loss=0.1, lr=0.1)
        + log_line("a", 10, val__depth__loss=2.5, val__depth__abs_error=0.3)
        + log_line("b", 10, train__depth__loss=0.02)
        + '{"training": "b", "st'  # cut off by a kill
    )
    assert draw_curves(log, tmp_path / "curves.png")
    assert is_figure(tmp_path / "curves.png")
    table = read_table(tmp_path / "curves.csv")
    assert table[0] == ["training", "title", "phase", "step", "epoch", "split", "task", "loss"]
    assert [(row[0], *row[3:]) for row in table[1:]] == [
        ("a", "10", "1", "train", "depth", "2.0"),
        ("a", "10", "1", "train", "normals", "0.1"),
        ("a", "10", "1", "val", "depth", "2.5"),
        ("b", "10", "1", "train", "depth", "0.02"),
    ]


def test_more_trainings_than_colours_are_drawn(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_text("".join(log_line(f"k{k}" * 40, 5, train__depth__loss=k) for k in range(9)))
    assert draw_curves(log, tmp_path / "curves.png")
    assert is_figure(tmp_path / "curves.png")


def test_a_log_without_losses_draws_nothing(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_text(log_line("a", 1, lr=0.1))
    assert not draw_curves(log, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_text("{oops\n" + log_line("a", 1, lr=0.1))
    with pytest.raises(ValueError, match=r"Line 1 of .* should be JSON"):
        draw_curves(log, tmp_path / "curves.png")


def test_a_failed_drawing_leaves_the_old_figure_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "affinity.png"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(OSError, match="No space left"):
        draw_affinity(make_affinity(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_illustrate_draws_all_that_a_folder_holds(result: dict[str, Any], tmp_path: Path) -> None:
    affinity = Affinity(("HUFL", "HULL", "OT"), np.eye(3), 3, "lookahead", 1e-9)
    (tmp_path / "affinity.json").write_text(affinity.to_json())
    (tmp_path / "metrics.jsonl").write_text(log_line("a", 1, train__OT__loss=1.0))
    illustrate(tmp_path, result)
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == [f"{n}.{e}" for n in ("affinity", "curves", "groups") for e in ("csv", "png")]


def test_illustrate_draws_a_plan_that_was_not_trained(
    result: dict[str, Any], tmp_path: Path
) -> None:
    unscored = {k: v for k, v in result.items() if k not in ("scores", "served_by", "draws")}
    illustrate(tmp_path, unscored | {"trainings": []})
    assert read_table(tmp_path / "figures" / "groups.csv")[1] == ["1", "HUFL", "1", ""]


def test_reports_start_without_torch_and_figures_without_matplotlib() -> None:
    code = (
        "import sys, mtlrun.reports, mtlrun.reports.figures, mtlrun.reports.summary;"
        "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("limit", "exponent"), [(0.1, 0), (999.0, 0), (0.05, -3), (3e-5, -6), (1e-6, -6), (2e4, 3)]
)
def test_cells_share_an_exponent_only_where_they_need_one(limit: float, exponent: int) -> None:
    assert shared_exponent(limit) == exponent


def test_numbers_in_cells_are_short() -> None:
    found = [short_number(v) for v in (-0.123, 12.345, -678.9, 123456.0, float("nan"))]
    assert found == ["-0.12", "12.3", "-679", "1e5", "-"]


def test_every_public_name_is_there() -> None:
    assert all(hasattr(figures, name) for name in figures.__all__)


def test_the_page_and_the_figure_tell_the_same_of_errors() -> None:
    errors = Affinity(("a", "b", "c"), np.arange(9.0).reshape(3, 3) ** 2, 1, "hoa")
    gains = Affinity(("a", "b"), np.array([[1.0, -2.0], [0.5, 3.0]]), 7, "tag")
    for own in (errors, gains):
        values, told = _helps(json.loads(own.to_json()))
        assert values == own.helps().tolist()
        assert told == own.in_words()
