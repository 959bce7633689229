import math
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from mtlrun.core.data import DataError
from mtlrun.data._ett import ETT, SERIES, share_borders, standard_borders
from mtlrun.data.etth1 import ETTh1
from mtlrun.data.ettm1 import ETTm1

Lines = list[list[str]]


def made_lines(num_rows: int, *, minutes: int = 15) -> Lines:
    """Header and rows: series c has the value sin(0.1 (c + 1) row) + row / 1000 + c."""
    begin = datetime(2016, 7, 1)
    return [
        ["date", *SERIES],
        *(
            [str(begin + timedelta(minutes=minutes * row))]
            + [f"{math.sin(0.1 * (c + 1) * row) + row / 1000 + c:.8f}" for c in range(7)]
            for row in range(num_rows)
        ),
    ]


def write(path: Path, lines: Lines) -> str:
    path.write_text("\n".join(",".join(cells) for cells in lines) + "\n")
    return str(path)


def small(path: str, **arguments: object) -> ETT:
    defaults: dict[str, object] = {
        "seq_len": 8, "label_len": 4, "pred_len": 3, "split": [0.6, 0.2, 0.2],
    }  # fmt: skip
    return ETTm1(path=path, **(defaults | arguments))  # type: ignore[arg-type]  # what the tests vary


@pytest.fixture
def csv_path(tmp_path: Path) -> str:
    return write(tmp_path / "made.csv", made_lines(100))


def test_standard_borders_are_12_4_and_4_months() -> None:
    # algorithms.md 9.8: 30 days of 96 rows a month; ETTh1 the same with 24 rows.
    assert standard_borders(15) == (34_560, 46_080, 57_600)
    assert standard_borders(60) == (8_640, 11_520, 14_400)


def test_standard_windows_are_34441_and_11497(tmp_path: Path) -> None:
    # 34560 - 96 - 24 + 1 and 11520 - 24 + 1; rows after 57600 are unused.
    dates = np.datetime64("2016-07-01T00:00:00") + np.arange(57_603) * np.timedelta64(15, "m")
    rows = [f"{str(d).replace('T', ' ')},{i % 7},1,2,3,4,5,{i}" for i, d in enumerate(dates)]
    rows[0] = rows[0].replace(",1,2,3,4,5,", ",0,0,0,0,0,")
    path = tmp_path / "long.csv"
    path.write_text("\n".join(["date," + ",".join(SERIES), *rows]))
    data = ETTm1(path=str(path))
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [34_441, 11_497, 11_497]
    last = data.split("test").fetch([11_496], seed=0).targets["OT"][0, -1]
    train = np.arange(34_560)
    assert float(last) == pytest.approx((57_599 - train.mean()) / train.std(), rel=1e-6)


def test_standardisation_uses_training_rows_only(csv_path: str) -> None:
    raw = np.loadtxt(csv_path, delimiter=",", skiprows=1, usecols=range(1, 8))
    data = small(csv_path)
    expected = (raw - raw[:60].mean(0)) / np.sqrt(((raw[:60] - raw[:60].mean(0)) ** 2).mean(0))
    for name, first in (("train", 0), ("val", 52), ("test", 72)):
        batch = data.split(name).fetch([0, 2], seed=0)  # type: ignore[arg-type]  # a literal
        for row, start in enumerate((first, first + 2)):
            np.testing.assert_allclose(
                batch.inputs[row, :8, :7], expected[start : start + 8], atol=1e-6
            )
            for column, task in enumerate(SERIES):
                target = expected[start + 8 : start + 11, column]
                np.testing.assert_allclose(batch.targets[task][row], target, atol=1e-6)


def test_horizon_holds_zeros_beside_its_time_marks(csv_path: str) -> None:
    data = small(csv_path)
    inputs = data.split("train").fetch([5], seed=0).inputs
    assert isinstance(inputs, torch.Tensor)
    assert inputs.shape == (1, *data.inputs.shape) == (1, 11, 11)
    assert not inputs[:, 8:, :7].any()
    # Row 5 + 8 is 2016-07-01 03:15, a Friday, day 183 of the year (a leap year).
    expected = torch.tensor([3 / 23, 4 / 6, 0 / 30, 182 / 365]) - 0.5
    torch.testing.assert_close(inputs[0, 8, 7:], expected)


def test_fetch_leaves_the_data_as_it_was(csv_path: str) -> None:
    split = small(csv_path).split("val")
    first = split.fetch([3, 0, 3], seed=0)
    again = split.fetch([3], seed=1)
    assert isinstance(first.inputs, torch.Tensor)
    assert isinstance(again.inputs, torch.Tensor)
    assert torch.equal(first.inputs[[0]], again.inputs)
    assert torch.equal(first.inputs[2], first.inputs[0])
    assert torch.equal(first.targets["OT"][[0]], again.targets["OT"])


def test_minute_marks_come_first(csv_path: str) -> None:
    data = small(csv_path, time_marks="t")
    assert data.inputs.details["num_marks"] == 5
    inputs = data.split("train").fetch([0], seed=0).inputs
    assert isinstance(inputs, torch.Tensor)
    torch.testing.assert_close(
        inputs[0, :5, 7], torch.tensor([0, 15 / 59, 30 / 59, 45 / 59, 0]) - 0.5
    )


def test_shares_of_rows_cover_every_row() -> None:
    for num_rows in (10, 97, 100, 19_557):
        assert share_borders(num_rows, (0.6, 0.2, 0.2))[-1] == num_rows
    assert share_borders(100, (0.7, 0.1, 0.2)) == (70, 80, 100)


def test_tasks_choose_targets_and_leave_inputs(csv_path: str) -> None:
    data = small(csv_path, tasks=["OT", "HULL"])
    batch = data.split("test").fetch([0], seed=0)
    whole = small(csv_path).split("test").fetch([0], seed=0)
    assert [task.name for task in data.tasks] == list(batch.targets) == ["OT", "HULL"]
    assert torch.equal(batch.targets["HULL"], whole.targets["HULL"])
    assert isinstance(batch.inputs, torch.Tensor)
    assert isinstance(whole.inputs, torch.Tensor)
    assert torch.equal(batch.inputs, whole.inputs)


def test_identity_follows_the_content_and_not_the_place(csv_path: str, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "ETTm1.csv"
    moved.parent.mkdir()
    shutil.copy(csv_path, moved)
    by_root = ETTm1(
        root=str(moved.parent), seq_len=8, label_len=4, pred_len=3, split=[0.6, 0.2, 0.2]
    )
    assert small(csv_path).identity() == by_root.identity()
    assert small(csv_path).identity() != small(csv_path, pred_len=2).identity()
    moved.write_text(moved.read_text() + "\n")
    by_root = ETTm1(
        root=str(moved.parent), seq_len=8, label_len=4, pred_len=3, split=[0.6, 0.2, 0.2]
    )
    assert small(csv_path).identity() != by_root.identity()


def test_other_columns_order_and_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    lines = made_lines(100)
    turned = [[*reversed(cells), "x"] for cells in lines]
    path = write(tmp_path / "turned.csv", turned)
    Path(path).write_text("\ufeff" + Path(path).read_text(), encoding="utf-8")
    plain = small(write(tmp_path / "plain.csv", lines)).split("train").fetch([1], seed=0)
    other = small(path).split("train").fetch([1], seed=0)
    assert isinstance(plain.inputs, torch.Tensor)
    assert isinstance(other.inputs, torch.Tensor)
    assert torch.equal(plain.inputs, other.inputs)


@pytest.mark.parametrize("make", [ETTm1, ETTh1])
def test_missing_file_names_the_place_the_layout_and_the_source(
    make: type[ETT], tmp_path: Path
) -> None:
    with pytest.raises(DataError) as error:
        make(root=str(tmp_path / "nowhere")).split("train")
    for part in (
        str(tmp_path / "nowhere" / make.file), "date,HUFL", "ETDataset", "data.path", "data.root",
    ):  # fmt: skip
        assert part in str(error.value)
    with pytest.raises(DataError, match=r"no file at `data.ett.1.ETT.1\.csv`"):
        make().identity()
    with pytest.raises(DataError, match="no file at"):
        make(path=str(tmp_path)).split("train")


def test_missing_column_is_named_beside_those_found(tmp_path: Path) -> None:
    lines = made_lines(100)
    lines[0][3] = "XXXX"
    with pytest.raises(DataError, match=r"HULL, XXXX, MULL.*missing: MUFL"):
        small(write(tmp_path / "f.csv", lines)).split("train")


@pytest.mark.parametrize(
    ("cell", "found"),
    [("", "an empty cell"), ("n/a", "`n/a`"), ("nan", "`nan`"), ("inf", "`inf`")],
)
def test_bad_number_is_named_by_line_and_column(cell: str, found: str, tmp_path: Path) -> None:
    lines = made_lines(100)
    lines[41][5] = cell
    with pytest.raises(DataError, match=f"Line 42, column `LUFL`.*a finite number. Found {found}"):
        small(write(tmp_path / "f.csv", lines)).split("train")


@pytest.mark.parametrize(("cell", "found"), [("", "an empty cell"), ("1/7/16 9h", "`1/7/16 9h`")])
def test_bad_date_is_named_by_line(cell: str, found: str, tmp_path: Path) -> None:
    lines = made_lines(100)
    lines[7][0] = cell
    with pytest.raises(DataError, match=f"Line 8, column `date`.*Found {found}"):
        small(write(tmp_path / "f.csv", lines)).split("train")


def test_row_with_too_few_cells_is_named(tmp_path: Path) -> None:
    lines = made_lines(100)
    lines[30] = lines[30][:4]
    with pytest.raises(DataError, match=r"Line 31, column `MULL`.*an empty cell"):
        small(write(tmp_path / "f.csv", lines)).split("train")


@pytest.mark.parametrize("content", ["", "date," + ",".join(SERIES)])
def test_file_without_rows_is_an_error(content: str, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=r"an empty file|Found none"):
        small(str(path)).split("train")


def test_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="UTF-8"):
        small(str(path)).split("train")


def test_short_file_says_what_is_needed_and_the_way_out(csv_path: str) -> None:
    with pytest.raises(DataError, match=r"57600 rows.*Found 100.*data.split=\[0.6,0.2,0.2\]"):
        small(csv_path, split=None).split("train")


def test_gap_and_disorder_are_named_by_line(tmp_path: Path) -> None:
    lines = made_lines(100)
    for wrong in (
        lines[:50] + lines[51:],
        [*lines[:50], lines[51], lines[50], *lines[52:]],
        [*lines[:50], lines[49], *lines[50:]],
    ):
        with pytest.raises(DataError, match="in line 51 after 2016-07-01 12:00:00"):
            small(write(tmp_path / "f.csv", wrong)).split("train")


def test_hourly_file_is_not_taken_for_quarters(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", made_lines(100, minutes=60))
    with pytest.raises(DataError, match="15 minutes apart"):
        small(path).split("train")
    assert len(ETTh1(path=path, seq_len=8, label_len=4, pred_len=3, split=[0.6, 0.2, 0.2]).split("val")) == 18  # fmt: skip


def test_constant_series_is_named(tmp_path: Path) -> None:
    lines = made_lines(100)
    for row in lines[1:61]:
        row[2] = "0.1"
    with pytest.raises(DataError, match=r"`HULL`.*60 training rows.*constant 0.1"):
        small(write(tmp_path / "f.csv", lines)).split("train")


def test_windows_that_do_not_fit_are_an_error_that_names_the_split(csv_path: str) -> None:
    with pytest.raises(DataError, match=r"`train`.*at least 70 rows.*Found 60"):
        small(csv_path, seq_len=67).split("train")
    with pytest.raises(DataError, match=r"`val`.*at least 38 rows.*Found 28"):
        small(csv_path, pred_len=30).split("train")


@pytest.mark.parametrize(
    "arguments",
    [
        {"seq_len": 0}, {"pred_len": 0}, {"label_len": 9}, {"split": [0.6, 0.4]},
        {"split": [0.6, 0.3, 0.2]}, {"split": [0.8, 0.2, 0.0]}, {"tasks": []}, {"tasks": ["OT", "OT"]},
        {"tasks": ["ot"]},
    ],
)  # fmt: skip
def test_bad_argument_names_its_key(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"Set data.{next(iter(arguments))}"):
        small("unread.csv", **arguments)


@pytest.mark.data
def test_real_part_file_splits_by_shares(real_data: Path) -> None:
    data = ETTm1(path=str(real_data / "ettm1" / "ETTm1_part.csv"), split=[0.6, 0.2, 0.2])
    # 19557 rows: borders at 11734, 15645 and 19557.
    assert [len(data.split(n)) for n in ("train", "val", "test")] == [11_615, 3_888, 3_889]
    batch = data.split("train").fetch([0], seed=0)
    assert batch.targets["HUFL"].shape == (1, 24)


@pytest.mark.data
def test_real_hourly_file_has_the_standard_borders(real_data: Path) -> None:
    data = ETTh1(path=str(real_data / "ettm1" / "ETTh1.csv"))
    # 8640 - 120 + 1 and 2880 - 24 + 1.
    assert [len(data.split(n)) for n in ("train", "val", "test")] == [8_521, 2_857, 2_857]


@pytest.mark.data
def test_real_part_file_is_too_short_for_the_standard_borders(real_data: Path) -> None:
    with pytest.raises(DataError, match=r"57600 rows.*Found 19557"):
        ETTm1(path=str(real_data / "ettm1" / "ETTm1_part.csv")).split("train")
