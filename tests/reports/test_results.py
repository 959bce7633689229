import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from mtlrun.engine.record import _WITHOUT_CONSEQUENCE as OF_THE_ENGINE
from mtlrun.reports._settings import WITHOUT_CONSEQUENCE
from mtlrun.reports.results import DELTA_I, DELTA_M, PARAMETERS, SAFENESS, STEP_TIME, tables_of
from mtlrun.reports.runs import Run
from mtlrun.reports.tables import Column, ResultTable
from tests.reports.run_folders import SINGLE, result, scaled

MIOU = Column("segmentation", "miou", True)


def run(content: dict[str, Any], *, identity: str = "") -> Run:
    name = f"{content['method']}{content['seed']}"
    return Run(Path(name), content, identity)


def runs_of(method: str, factors: list[float], **settings: Any) -> list[Run]:
    return [
        run(result(method, seed, scaled(SINGLE, factor), **settings))
        for seed, factor in enumerate(factors)
    ]


def only(runs: list[Run], **asked: Any) -> ResultTable:
    (table,), _ = tables_of(runs, **asked)
    return table


def test_what_the_engine_counts_as_without_consequence_does_not_split_rows() -> None:
    assert set(OF_THE_ENGINE) <= set(WITHOUT_CONSEQUENCE)


def test_seeds_are_averaged_with_the_deviation_of_a_sample() -> None:
    table = only(runs_of("hps", [1.0, 1.1, 1.3]))
    (row,) = table.rows
    values = [0.5, 0.55, 0.65]
    assert row.seeds == (0, 1, 2)
    assert row.cells[MIOU].mean == pytest.approx(statistics.fmean(values))
    assert row.cells[MIOU].std == pytest.approx(statistics.stdev(values))
    assert only(runs_of("hps", [1.0])).rows[0].cells[MIOU].std is None


def test_only_the_seed_and_settings_without_consequence_may_differ_in_a_row() -> None:
    plain = result("hps", 0, SINGLE)
    elsewhere = result("hps", 1, SINGLE, outputs="b", trainer__device="cuda", data__root="/b")
    other = result("hps", 2, SINGLE, optimizer__lr=1e-3)
    table = only([run(plain), run(elsewhere), run(other)])
    assert [(row.label, row.seeds) for row in table.rows] == [
        ("hps optimizer.lr=0.0001", (0, 1)),
        ("hps optimizer.lr=0.001", (2,)),
    ]
    assert any("optimizer.lr differs" in note for note in table.notes)


def test_versions_and_given_files_split_rows() -> None:
    newer = result("hps", 1, SINGLE)
    newer["versions"] = {"mtlrun": "0.2.0"}
    given = result("hps", 2, SINGLE)
    given["given"] = {"plan": "0123456789ab", "affinity": None}
    table = only([run(result("hps", 0, SINGLE)), run(newer), run(given)])
    assert len(table.rows) == 3
    assert {"mtlrun=0.2.0", "plan.sha256=01234567"} <= {
        word for row in table.rows for word in row.label.split()
    }


def test_a_chosen_file_stands_for_the_settings_it_brings() -> None:
    uw = runs_of("hps", [1.0], weighting={"_target_": "mtlrun.weightings.uw.UW", "init": 0.0})
    table = only([*runs_of("hps", [1.0]), *uw])
    assert [row.label for row in table.rows] == ["hps weighting=equal", "hps weighting=uw"]


def test_data_backbone_and_budget_make_tables_of_their_own() -> None:
    runs = [
        *runs_of("hps", [1.0]),
        *runs_of("hps", [1.0], trainer__epochs=10),
        *runs_of("hps", [1.0], data__train_share=0.05),
        *runs_of("hps", [1.0], data="other"),
    ]
    tables, _ = tables_of(runs)
    assert len(tables) == 4
    assert any("data.train_share=0.05" in table.title for table in tables)
    assert any("10 epochs" in table.title for table in tables)


def test_files_that_changed_under_the_same_settings_are_not_averaged() -> None:
    runs = [
        run(result("hps", 0, SINGLE), identity='{"sha256": "a"}'),
        run(result("hps", 1, SINGLE), identity='{"sha256": "b"}'),
    ]
    tables, _ = tables_of(runs)
    assert sorted(table.told for table in tables) == ["files 1", "files 2"]


def test_splits_of_each_seed_are_one_row_and_fixed_ones_another() -> None:
    def seeded(seed: int, split: int) -> Run:
        content = result("hps", seed, SINGLE, data__split_seed=split)
        return run(content, identity=f'{{"sha256": "{split}"}}')

    assert [row.seeds for row in only([seeded(0, 0), seeded(1, 1)]).rows] == [(0, 1)]
    assert [row.seeds for row in only([seeded(0, 7), seeded(1, 7)]).rows] == [(0, 1)]
    assert len(only([seeded(0, 0), seeded(1, 0), seeded(2, 2)]).rows) == 2
    twice = run(result("vmtl", 0, SINGLE, data__split_seed=0), identity='{"sha256": "z"}')
    with pytest.raises(ValueError, match="of the same data"):
        tables_of([seeded(0, 0), twice])


def test_deltas_are_beside_the_single_task_row_of_the_table() -> None:
    single = runs_of("single_task", [0.9, 1.1])  # their mean is SINGLE
    table = only([*single, *runs_of("hps", [1.1, 1.3])])
    row = next(row for row in table.rows if row.method == "hps")
    assert row.cells[DELTA_M].mean == pytest.approx(20.0)
    assert row.cells[DELTA_M].std == pytest.approx(math.sqrt(2) * 10)
    assert row.cells[DELTA_I].mean == pytest.approx(0.2)
    assert row.cells[SAFENESS].mean == 100
    assert table.best(MIOU) == pytest.approx(0.6)
    assert table.rows[0].method == "single_task"


def test_missing_references_are_named_with_the_command_that_makes_them() -> None:
    table = only(runs_of("hps", [1.0, 1.1], trainer__eval_batches=3))
    assert DELTA_M not in table.columns
    (note,) = [note for note in table.notes if "no single-task runs" in note]
    assert "mtlrun -m method=single_task data=nyuv2 backbone=resnet50 trainer.epochs=200" in note
    assert "trainer.eval_batches=3 seed=0,1" in note
    elsewhere = runs_of("single_task", [1.0], trainer__epochs=5)
    tables, _ = tables_of([*runs_of("hps", [1.0]), *elsewhere])
    assert all("no single-task" in " ".join(t.notes) for t in tables if "200" in t.budget)


def test_references_of_the_store_serve_where_the_table_has_none() -> None:
    content = result("hps", 0, scaled(SINGLE, 1.2))
    content["single_task"] = {task: {"test": own, "val": own} for task, own in SINGLE.items()}
    table = only([run(content)])
    assert table.rows[0].cells[DELTA_M].mean == pytest.approx(20.0)
    assert any("the store held" in note for note in table.notes)


def test_of_several_single_task_rows_the_one_of_the_same_settings_counts() -> None:
    runs = [
        *runs_of("single_task", [1.0]),
        *runs_of("single_task", [2.0], optimizer__lr=1e-3),
        *runs_of("hps", [1.1]),
        *runs_of("dsmtl_jl", [1.1], optimizer__lr=1.0),
    ]
    rows = {row.method: row for row in only(runs).rows}
    assert rows["hps"].cells[DELTA_M].mean == pytest.approx(10.0)
    assert DELTA_M not in rows["dsmtl_jl"].cells
    assert any("there is none for dsmtl_jl" in note for note in only(runs).notes)


def test_a_seed_that_is_there_twice_is_named_or_refused() -> None:
    first, copy = runs_of("hps", [1.0])[0], run(result("hps", 0, SINGLE))
    (table,), remarks = tables_of([first, copy])
    assert table.rows[0].seeds == (0,)
    assert "a copy of" in remarks[0]
    _, remarks = tables_of([first, *[run(result("hps", 0, SINGLE)) for _ in range(5)]])
    assert remarks[0].startswith("left out 5 folders")
    other = run(result("hps", 0, scaled(SINGLE, 1.1)))
    with pytest.raises(ValueError, match="seed 0 of hps"):
        tables_of([first, other])


def test_splits_and_choices_are_as_asked() -> None:
    content = result("tag", 0, SINGLE)
    content["plan"]["groups"] = [
        {"tasks": list(SINGLE), "serves": list(SINGLE)},
        {"tasks": ["depth"], "serves": ["depth"]},
    ]
    content["scores_test_selected"] = {"test": scaled(SINGLE, 1.5), "val": SINGLE}
    mean = only([run(content)]).rows[0].cells[MIOU].mean
    assert mean == 0.5
    assert only([run(content)], split="val").rows[0].cells[MIOU].mean == 0.45
    assert only([run(content)], chosen_on="test").rows[0].cells[MIOU].mean == 0.75


def test_costs_are_of_the_models_that_are_scored() -> None:
    rows = only([*runs_of("single_task", [1.0]), *runs_of("hps", [1.0])]).rows
    assert [row.cells[PARAMETERS].mean for row in rows] == [2.0, 1.0]
    assert [row.cells[STEP_TIME].mean for row in rows] == [pytest.approx(40), pytest.approx(20)]


def test_a_shared_leading_metric_is_summed_and_averaged() -> None:
    series: Any = {"OT": {"mae": 0.5}, "HULL": {"mae": 0.3}}
    table = only([run(result("hps", 0, series))])
    found = {column.name: table.rows[0].cells[column].mean for column in table.columns}
    assert found["total mae"] == pytest.approx(0.8)
    assert found["mean mae"] == pytest.approx(0.4)
