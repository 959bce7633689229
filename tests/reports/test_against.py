from typing import Any

import pytest
import yaml

from mtlrun._catalogue import conf_folder, options
from mtlrun.reports._grid import Entry, Grid
from mtlrun.reports.against import Asked, compare
from mtlrun.reports.counterparts import counterparts_of, known_tables
from mtlrun.reports.printed import read_table
from tests.reports.run_folders import result
from tests.reports.test_results import only, run

ASKED = Asked("test", None, 0.05)
NYUV2 = {
    "segmentation": {"miou": 0.5311, "pixel_error": 24.8},
    "depth": {"abs_error": 0.3957, "rel_error": 0.1632},
}
DIRECTIONS = {"miou": True, "pixel_error": False, "abs_error": False, "rel_error": False}


def content(method: str, scores: Any, **settings: Any) -> dict[str, Any]:
    found = result(method, 0, scores, **settings)
    for task in found["tasks"]:
        task["directions"] = {m: DIRECTIONS.get(m, True) for m in task["metrics"]}
    return found


def lines(grid: Grid, label: str) -> list[dict[str, Entry]]:
    """The paper's line, ours and the difference of a row."""
    begin = next(k for k, row in enumerate(grid.rows) if row[0].text == f"{label}: paper")
    names = [f"{head.group} {head.name}" for head in grid.heads]
    return [dict(zip(names, row, strict=True)) for row in grid.rows[begin : begin + 3]]


def test_deltas_of_a_paper_are_added_to_its_single_task_row_as_corrected() -> None:
    hps = {
        "segmentation": {"miou": 0.54, "pixel_error": 24.0},
        "depth": {"abs_error": 0.5, "rel_error": 0.1548},
    }
    table = only([run(content("single_task", NYUV2)), run(content("hps", hps))])
    grid = compare("dsmtl/table2", [table], ASKED)
    paper, ours, difference = lines(grid, "HPS")
    assert paper["Segmentation mIoU"].text == "54.48"  # 53.11 + 1.37
    assert ours["Segmentation mIoU"].text == "54.00"
    assert difference["Segmentation mIoU"].value == pytest.approx(-0.48)
    assert paper["Segmentation Pix Err"].text == "24.18"  # 24.80 - 0.62: the misprint is read back
    assert paper["Depth Abs Err"].text == "0.3839"  # 0.3957 - 0.0118
    assert not difference["Segmentation mIoU"].is_outside
    assert difference["Depth Abs Err"].is_outside
    assert not difference["Depth Rel Err"].is_outside
    assert difference["Surface Normal Within 30"].text == "-"
    single = lines(grid, "STL")
    assert single[2]["Segmentation Pix Err"].value == pytest.approx(0.0)


def test_what_has_no_counterpart_or_no_runs_is_listed() -> None:
    table = only([run(content("single_task", NYUV2))])
    notes = "\n".join(compare("dsmtl/table2", [table], ASKED).notes)
    assert "rows without a counterpart: Cross-stitch; MTAN" in notes
    assert "no runs for HPS (method=hps weighting=equal); DSMTL-IL" in notes
    assert "misprint: STL Segmentation Pix Err: 4.80, read as 24.80" in notes


def test_two_deviations_of_the_paper_are_allowed_where_it_prints_them() -> None:
    # VMTL at 5 % of Office-Caltech: 93.8 +- 0.1 on average.
    def office(accuracy: float) -> Any:
        own = {"amazon": {"accuracy": accuracy}, "dslr": {"accuracy": accuracy}}
        settings = {
            "method__prior": "gumbel", "method__bayesian_z": True, "method__bayesian_w": True,
            "method__shared_mixing": False, "data__train_share": 0.05,
        }  # fmt: skip
        table = only([run(content("vmtl", own, data="office_caltech", **settings))])
        return lines(compare("vmtl/c5", [table], ASKED), "VMTL, train split 5%")

    inside, outside = office(0.9395), office(0.9365)
    assert inside[0]["Avg. Accuracy (%)"].text == "93.8 \u00b1 0.1"
    assert inside[1]["Avg. Accuracy (%)"].value == pytest.approx(93.95)
    assert not inside[2]["Avg. Accuracy (%)"].is_outside
    assert not outside[2]["Avg. Accuracy (%)"].is_outside
    assert office(0.9405)[2]["Avg. Accuracy (%)"].is_outside


def test_other_settings_are_no_counterpart() -> None:
    own = {"amazon": {"accuracy": 0.9}}
    runs = [
        run(content("vmtl", own, data="office_caltech", data__train_share=0.05,
                    method__prior="mean")),
        run(content("single_task", own, data="office_caltech", data__train_share=0.05)),
    ]  # fmt: skip
    grid = compare("vmtl/c5", [only(runs)], ASKED)
    assert [row[0].text for row in grid.rows[::3]] == ["STL, train split 5%: paper"]


def test_the_best_of_a_papers_groups_is_read() -> None:
    own = {name: {"error": 5.0} for name in ("5_o_Clock_Shadow", "Black_Hair", "Blond_Hair")}
    tagged = content("lookahead", own, data="celeba", solver__num_groups=3)
    for task in tagged["tasks"]:
        task["directions"] = {"error": False}
    paper, _, _ = lines(compare("ptg/table2", [only([run(tagged)])], ASKED), "Ours, n_groups=3")
    cells = [
        cell
        for cell in read_table("ptg/table2")
        if (cell.method, cell.setting) == ("Ours", "n_groups=3")
    ]
    (task, *_) = [c.task for c in cells if sum(o.task == c.task for o in cells) > 1]
    values = [cell.value for cell in cells if cell.task == task]
    assert paper[f"{task} Error (%)"].value == min(values) < max(values)


def test_other_data_stand_in_only_where_that_is_said() -> None:
    table = only([run(content("single_task", NYUV2, data="scenes"))])
    grid = compare("dsmtl/table2", [table], ASKED)
    assert any("no runs of data=nyuv2: scenes stands in" in note for note in grid.notes)
    toy = only([run(content("vstl", {"a": {"accuracy": 0.8}}, data="toy"))])  # it has no shares
    beside = compare("vmtl/c5", [toy], ASKED)
    assert lines(beside, "VSTL, train split 5%")[1]["Avg. Accuracy (%)"].text == "80.0"
    unlike = only([run(content("single_task", {"a": {"accuracy": 1.0}}, data="toy"))])
    with pytest.raises(ValueError, match="There should be runs for a row of dsmtl/table2"):
        compare("dsmtl/table2", [unlike], ASKED)


def test_a_table_of_solver_times_has_no_runs() -> None:
    with pytest.raises(ValueError, match="which none has"):
        compare("ptg/table5", [], ASKED)


def test_speed_ups_and_improvements_are_derived() -> None:
    series = {"HUFL": {"mae": 0.5}, "OT": {"mae": 0.3}}
    runs = []
    for every, seconds in ((1, 100.0), (5, 25.0)):
        own = content("lookahead", series, data="ettm1", method__collector={"every": every})
        own["trainings"].append({**own["trainings"][0], "phase": "collect", "seconds": seconds})
        runs.append(own)
    runs.append(content("random", {"HUFL": {"mae": 0.6}, "OT": {"mae": 0.4}}, data="ettm1"))
    for own in runs:
        for task in own["tasks"]:
            task["directions"] = {"mae": False}
    grid = compare("ptg/figure4", [only([run(own) for own in runs])], ASKED)
    ours = lines(grid, "Ours, collection freq=5 steps")[1]
    assert ours["ETTm1 transfer gain collection Relative Speedup"].value == pytest.approx(4.0)
    assert ours["ETTm1 Total Relative Improvement (%)"].value == pytest.approx(20.0)


def test_seconds_of_an_iteration_are_those_of_a_step() -> None:
    own = {"art": {"accuracy": 0.5}}
    settings = {"data__train_share": 0.05, "method__num_z": 10, "method__num_w": 10}
    vmtl = {"prior": "gumbel", "bayesian_z": True, "bayesian_w": True, "shared_mixing": False}
    given = {f"method__{key}": value for key, value in vmtl.items()}
    runs = [run(content("vmtl", own, data="office_home", **given, **settings))]
    paper, ours, _ = lines(
        compare("vmtl/c17", [only(runs)], ASKED), "VMTL, train split 5%; MC samples=10"
    )
    assert paper["Training Time per iteration (s)"].text == "0.122"
    assert ours["Training Time per iteration (s)"].value == pytest.approx(0.02)  # 2 s of 100 steps


def test_selective_updates_in_another_order_are_not_the_papers() -> None:
    own = {"depth_zbuffer": {"abs_error": 0.5}}
    runs = [
        run(content("selective", own, data="taskonomy", method__grouping=grouping,
                    method__order=order))
        for grouping, order in ((None, "random"), (None, "forward"), ("singletons", "random"))
    ]  # fmt: skip
    grid = compare("selective/table5", [only(runs)], ASKED)
    assert [row[0].text for row in grid.rows[::3]] == ["Separate: paper", "Ours: paper"]


@pytest.mark.parametrize("name", known_tables())
def test_counterparts_name_what_papers_print_and_what_runs_can_be(name: str) -> None:
    own = counterparts_of(name)
    cells = read_table(name)
    assert cells
    assert set(own.columns) <= {f"{cell.task}/{cell.metric}" for cell in cells}
    assert set(own.data) <= {cell.dataset for cell in cells}
    assert {row.partition(", ")[0] for row in own.rows if "," in row} <= set(own.rows)
    for cell in cells:
        wanted = own.wanted(cell)
        if wanted is not None and cell.dataset in own.data:
            assert all(exists(key, wanted, own.data[cell.dataset]) for key in wanted), wanted


def exists(key: str, wanted: dict[str, Any], data: str) -> bool:
    """Whether conf/ has the file or the key that a setting is of."""
    group, _, path = key.partition(".")
    if not path:
        return wanted[key] in options(group)
    chosen = {"method": wanted["method"], "data": data, "solver": "auto", "trainer": "default"}
    node = yaml.safe_load((conf_folder() / group / f"{chosen[group]}.yaml").read_text())
    for part in path.split("."):
        if part not in node:
            return False
        node = node[part]
    return True
