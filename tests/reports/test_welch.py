import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from mtlrun.reports.significance import compare_rows
from mtlrun.reports.tables import ResultTable
from mtlrun.reports.welch import welch
from tests.reports.test_results import only, runs_of

numbers = st.lists(st.integers(-1000, 1000).map(float), min_size=2, max_size=6, unique=True)


@given(first=numbers, second=numbers)
def test_welch_is_scipys(first: list[float], second: list[float]) -> None:
    found = welch(first, second)
    expected = ttest_ind(first, second, equal_var=False)
    assert found is not None
    assert found.t == pytest.approx(expected.statistic, rel=1e-9, abs=1e-12)
    assert found.freedom == pytest.approx(expected.df, rel=1e-9)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)


def test_one_seed_or_nothing_that_varies_tests_nothing() -> None:
    assert welch([1.0], [1.0, 2.0]) is None
    assert welch([1.0, 1.0], [2.0, 2.0]) is None


@pytest.fixture
def table() -> ResultTable:
    return only([*runs_of("single_task", [1.0, 1.01]), *runs_of("hps", [1.1, 1.12])])


def test_rows_are_compared_number_by_number(table: ResultTable) -> None:
    (grid,) = compare_rows([table], "hps", "single_task")
    row = next(row for row in grid.rows if row[0].text.startswith("segmentation miou"))
    assert row[3].value == pytest.approx(0.0525)
    expected = ttest_ind([0.55, 0.56], [0.5, 0.505], equal_var=False)
    assert row[6].value == pytest.approx(expected.pvalue)


def test_names_that_mean_no_row_or_several_are_refused(table: ResultTable) -> None:
    with pytest.raises(ValueError, match="Rows: single_task; hps"):
        compare_rows([table], "hps", "mgda")
    with pytest.raises(ValueError, match="mean one row"):
        compare_rows([table], "s", "hps")
