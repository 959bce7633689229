import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mtlrun.core.data import DataSource
from mtlrun.data.celeba import CelebA
from mtlrun.data.nyudv2 import NYUDv2
from mtlrun.data.pascal_context import PASCALContext
from mtlrun.reports.summary import print_summary, rows, totals


def printed(result: dict[str, Any], *, width: int = 80, terminal: bool = False) -> str:
    stream = io.StringIO()
    print_summary(result, Console(file=stream, width=width, force_terminal=terminal))
    return stream.getvalue()


def draws_of(result: dict[str, Any], *scales: float) -> list[dict[str, Any]]:
    test = result["scores"]["test"]
    return [
        {
            "groups": [group["tasks"] for group in result["plan"]["groups"]],
            "scores": {
                "test": {t: {m: scale * v for m, v in own.items()} for t, own in test.items()}
            },
        }
        for scale in scales
    ]


def test_rows_hold_value_direction_group_and_signed_improvement(result: dict[str, Any]) -> None:
    row = rows(result)[0]
    assert (row.task, row.metric, row.higher_is_better) == ("HUFL", "mae", False)
    assert (row.value, row.single_task, row.std) == (0.61, 0.64, None)
    assert row.improvement == pytest.approx(100 * 0.03 / 0.64)  # less error is better
    assert row.group == ("HUFL", "HULL")
    assert rows(result)[2].improvement == pytest.approx(-100 / 15)


def test_totals_are_delta_m_and_the_sum_of_the_shared_leading_metric(
    result: dict[str, Any],
) -> None:
    on_val, on_test, *_, total_val, total_test = totals(result)
    assert (on_val.name, on_val.chosen_on, on_test.chosen_on) == ("delta_m", "val", "test")
    assert on_val.value == pytest.approx(100 / 3 * (0.03 / 0.64 + 0.01 / 0.37 - 0.01 / 0.15))
    assert on_test.value == pytest.approx(100 / 3 * (0.03 / 0.64 + 0.02 / 0.37 - 0.01 / 0.15))
    assert total_val.name == "total mae"
    assert (total_val.value, total_test.value) == (pytest.approx(1.13), pytest.approx(1.12))
    assert total_val.single_task == pytest.approx(1.16)


def test_delta_i_is_a_share_and_safeness_counts_tasks_no_worse_than_alone(
    result: dict[str, Any],
) -> None:
    found = {(number.name, number.chosen_on): number.value for number in totals(result)}
    assert found["delta_i", "val"] == pytest.approx(found["delta_m", "val"] / 100)  # type: ignore[operator]  # a number
    assert found["safeness", "val"] == pytest.approx(200 / 3)  # OT alone is worse
    text = printed(result)
    assert f"delta_i {found['delta_i', 'val']:+.4f}, groups chosen on val" in text
    assert "safeness 67 %, groups chosen on val" in text
    result["draws"] = draws_of(result, 1.0, 0.9)  # at 0.9 all three are better
    safeness = next(number for number in totals(result) if number.name == "safeness")
    assert safeness.value == pytest.approx(250 / 3)
    assert safeness.std == pytest.approx(100 / 3 / 2**0.5)
    assert "safeness 83 % +- 24 % over draws" in printed(result)


def test_delta_m_counts_the_leading_metric_of_a_task_and_delta_i_all(
    result: dict[str, Any],
) -> None:
    before = {number.name: number.value for number in totals(result)}
    result["tasks"][0] = {
        "name": "HUFL",
        "metrics": ["mae", "r2"],
        "directions": {"r2": True, "mae": False},  # the order of `metrics` counts
    }
    for scores, value in (("scores", 0.6), ("single_task", 0.5), ("scores_test_selected", 0.6)):
        for split in ("val", "test"):
            path = ("HUFL", split) if scores == "single_task" else (split, "HUFL")
            result[scores][path[0]][path[1]]["r2"] = value
    after = {number.name: number.value for number in totals(result)}
    assert after["delta_m"] == before["delta_m"]
    # HUFL's part is the mean of 0.03/0.64 less error and 0.1/0.5 more r2.
    expected = ((0.03 / 0.64 + 0.2) / 2 + 0.02 / 0.37 - 0.01 / 0.15) / 3
    assert after["delta_i"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("data", "leading"),
    [  # Golden: the metric columns of Tables 2 and 3 of Selective Task Group Updates; PTG's Table 2.
        (NYUDv2(), ("miou", "rmse", "mean_angle", "ods_f")),
        (PASCALContext(tasks=None), ("miou", "miou", "max_f", "ods_f", "mean_angle")),
        (CelebA(), ("error",) * 9),
    ],
    ids=["nyudv2", "pascal_context", "celeba"],
)
def test_leading_metrics_are_the_columns_of_the_papers_that_print_delta_m(
    data: DataSource, leading: tuple[str, ...]
) -> None:
    assert tuple(task.leading_metric for task in data.tasks) == leading


def test_nothing_is_said_of_safety_without_a_reference(result: dict[str, Any]) -> None:
    result["single_task"] = None
    assert {number.name for number in totals(result)} == {"delta_m", "total mae"}
    assert "safeness" not in printed(result)


def test_the_choice_is_not_spoken_of_where_there_was_none(result: dict[str, Any]) -> None:
    result["plan"]["groups"][1] = {"tasks": ["OT"], "serves": ["OT"]}
    assert [(number.name, number.chosen_on) for number in totals(result)] == [
        ("delta_m", None),
        ("delta_i", None),
        ("safeness", None),
        ("total mae", None),
    ]


def test_groups_chosen_on_test_are_told_beside_those_chosen_on_val(
    result: dict[str, Any],
) -> None:
    result |= {"select_on": "test", "scores_val_selected": result["scores_test_selected"]}
    assert [number.chosen_on for number in totals(result)] == ["test", "val"] * 4


def test_different_leading_metrics_have_no_total(result: dict[str, Any]) -> None:
    result["tasks"][0] |= {"metrics": ["mse"], "directions": {"mse": False}}
    assert {number.name for number in totals(result)} == {"delta_m"}


def test_missing_single_task_runs_are_dashes_and_a_hint(result: dict[str, Any]) -> None:
    result["single_task"] = None
    assert all(row.improvement is None for row in rows(result))
    assert totals(result)[0].value is None
    text = " ".join(printed(result).split())
    assert "HUFL mae v 0.6100 - - 1" in text.replace("\u2193", "v")
    assert "no single-task runs in the store: mtlrun method=single_task data=ettm1" in text


def test_one_missing_single_task_run_is_named_and_leaves_no_delta_m(
    result: dict[str, Any],
) -> None:
    del result["single_task"]["OT"]
    assert [row.improvement is None for row in rows(result)] == [False, False, True]
    assert totals(result)[0].value is None
    assert "no single-task runs in the store for OT:" in printed(result)


def test_random_draws_have_mean_and_std(result: dict[str, Any]) -> None:
    result["draws"] = draws_of(result, 0.9, 1.1)
    row = rows(result)[0]
    assert row.value == pytest.approx(0.61)
    assert row.std == pytest.approx(0.061 * 2**0.5)
    assert row.group is None
    number = totals(result)[-1]
    assert (number.name, number.value) == ("total mae", pytest.approx(1.13))
    assert number.std == pytest.approx(0.113 * 2**0.5)
    text = printed(result)
    assert "over draws" in text
    assert "draw 2: groups 1, 2" in text


def test_printed_result_tells_groups_costs_and_where_files_are(
    result: dict[str, Any], tmp_path: Path
) -> None:
    figure = tmp_path / "figures" / "affinity.png"
    figure.parent.mkdir()
    figure.touch()
    lines = printed(result).splitlines()
    assert lines[0].startswith("lookahead on ettm1, backbone autoformer, seed 0")
    assert "group 1: HUFL, HULL" in lines
    assert "group 2: HULL, OT (scored here: OT)" in lines
    assert "time: collect 12.3 s, train 1 h 2 min" in lines
    assert "trainings: 3 in 3 min 3 s, of which 1 reused from the store" in lines
    assert "parameters: 1,200,000 in 2 models" in lines
    assert "peak memory: 128 MiB" in lines
    assert lines[-2:] == [f"folder: {tmp_path}", f"figure: {figure}"]


def test_a_plan_or_affinity_that_was_given_is_named(result: dict[str, Any]) -> None:
    assert "given" not in printed(result)
    result["config"] = {"plan": None, "affinity": "runs/a=1/affinity.json"}
    assert "affinity given: runs/a=1/affinity.json" in printed(result)


def test_a_run_that_only_planned_says_so(result: dict[str, Any]) -> None:
    for key in ("scores", "served_by", "draws", "single_task", "scores_test_selected"):
        del result[key]
    assert rows(result) == []
    assert totals(result) == []
    text = printed(result)
    assert "collected and planned only" in text
    assert "group 2: HULL, OT" in text


def test_piped_text_is_plain_and_terminals_have_colour(result: dict[str, Any]) -> None:
    assert "\x1b" not in printed(result)
    assert "\x1b[32m" in printed(result, terminal=True)


def test_long_names_stay_whole_and_within_eighty_columns(result: dict[str, Any]) -> None:
    name = "principal_curvature"
    result["tasks"].append(
        {
            "name": name,
            "metrics": ["root_mean_square", "within_11[deg]"],
            "directions": {"root_mean_square": False, "within_11[deg]": True},
        }
    )
    result["served_by"][name] = ["OT", name]
    result["scores"]["test"][name] = {"root_mean_square": 1234.5678, "within_11[deg]": 1e-5}
    result["single_task"][name] = {
        "test": {"root_mean_square": 1000.0, "within_11[deg]": 2e-5}, "val": {}
    }  # fmt: skip
    for draws in (None, draws_of(result, 1.0, 1.0)):
        result["draws"] = draws
        table = [x for x in printed(result).splitlines() if not x.startswith(("folder", "figure"))]
        assert max(len(line) for line in table) <= 80
    lines = printed(result | {"draws": None}).splitlines()
    assert any(name in line and "root_mean_square" in line and "-23.46 %" in line for line in lines)
    assert any("within_11[deg]" in line and "1e-05" in line for line in lines)


def test_arrows_fall_back_to_ascii(result: dict[str, Any]) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_summary(result, Console(file=stream, width=80))
    stream.flush()
    assert b"mae v" in raw.getvalue()
