import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlrun.reports.aggregates import (
    delta_i,
    delta_m,
    mean_and_std,
    relative_change,
    safeness,
    total,
)

positive = st.floats(1e-3, 1e3)


def one_metric(values: list[float]) -> dict[str, dict[str, float]]:
    return {str(k): {"score": value} for k, value in enumerate(values)}


NYUD = ([39.35, 0.661, 22.14, 59.7], [True, False, False, True])
PASCAL = ([67.96, 58.90, 83.76, 15.65, 47.7], [True, True, True, False, True])
TASKONOMY = (
    [0.0155, 0.0160, 0.1012, 0.1713, 0.1620, 0.082, 0.2169, 0.7103, 0.1357, 0.1700, 0.1435],
    [False] * 11,
)


# Golden: rows of Tables 2 and 3 of Selective Task Group Updates; the values recomputed by an
# independent program from the printed scores (the tables print them with two decimals).
@pytest.mark.parametrize(
    ("table", "scores", "expected"),
    [
        (NYUD, [38.51, 0.641, 25.64, 53.0], -6.535),
        (NYUD, [40.02, 0.618, 24.09, 53.9], -2.579),
        (PASCAL, [67.48, 55.46, 81.36, 18.41, 39.0], -9.057),
        (PASCAL, [68.14, 57.15, 82.52, 17.19, 39.5], -6.244),
        (
            TASKONOMY,
            [0.0163, 0.0167, 0.1211, 0.1742, 0.1715, 0.093, 0.2333, 0.7527, 0.1625, 0.1837, 0.1487],
            -8.649,
        ),
    ],
)
def test_delta_m_of_printed_scores_is_the_printed_one(
    table: tuple[list[float], list[bool]], scores: list[float], expected: float
) -> None:
    reference, higher = table
    directions = {str(k): {"score": flag} for k, flag in enumerate(higher)}
    found = delta_m(one_metric(scores), one_metric(reference), directions)
    assert found == pytest.approx(expected, abs=6e-4)


NYUV2 = (
    # The misprint 4.80 of the table's pixel error read as 24.80, with which all its rows agree.
    [[53.11, 24.80], [0.3957, 0.1632], [22.26, 15.49, 38.61, 64.43, 74.69]],
    [[True, False], [False, False], [False, False, True, True, True]],
)
CITYSCAPES = ([[67.48, 9.00], [0.0139, 46.2507]], [[True, False], [False, False]])
Nested = list[list[float]]
Flags = list[list[bool]]
Table = dict[str, dict[str, float]]


def safe_scores(
    table: tuple[Nested, Flags], better_by: Nested
) -> tuple[Table, Table, dict[str, dict[str, bool]]]:
    """Scores, reference and directions from a reference and the printed differences to it."""
    reference, higher = table
    directions = {f"t{t}": {f"m{j}": h for j, h in enumerate(own)} for t, own in enumerate(higher)}
    before = {f"t{t}": {f"m{j}": v for j, v in enumerate(own)} for t, own in enumerate(reference)}
    after = {
        f"t{t}": {
            f"m{j}": reference[t][j] + (by if higher[t][j] else -by) for j, by in enumerate(own)
        }
        for t, own in enumerate(better_by)
    }
    return after, before, directions


# Golden: rows of Tables 1 and 2 of Deep Safe Multi-Task Learning: Delta_I recomputed by an
# independent program from the printed differences, eta as printed.
@pytest.mark.parametrize(
    ("table", "better_by", "expected", "eta"),
    [
        (NYUV2, [[1.37, 0.62], [0.0118, 0.0084], [-1.24, -1.57, -3.30, -3.33, -2.55]], 0.0001, 67),
        (NYUV2, [[1.63, 0.58], [0.0161, 0.0083], [-0.71, -0.81, -1.70, -1.80, -1.38]], 0.0126, 67),
        (NYUV2, [[0.60, 0.30], [0.0007, 0.0005], [0.26, 0.06, 0.14, 0.33, 0.41]], 0.0067, 100),
        (NYUV2, [[0.75, 0.36], [0.0114, 0.0051], [0.48, 0.47, 1.27, 1.00, 0.73]], 0.0221, 100),
        (NYUV2, [[1.25, 0.71], [0.0144, 0.0070], [0.45, 0.40, 0.83, 0.99, 0.74]], 0.0281, 100),
        (NYUV2, [[0.31, 0.23], [0.0052, 0.0096], [0.02, -0.22, -0.86, -0.33, 0.04]], 0.0118, 80),
        (CITYSCAPES, [[-0.08, -0.08], [-0.0003, 0.8245]], -0.0035, 25),
        (CITYSCAPES, [[2.94, 1.13], [0.0015, 0.4879]], 0.0719, 100),
        (CITYSCAPES, [[1.50, 0.62], [0.0005, 3.3886]], 0.0501, 100),
        (CITYSCAPES, [[3.07, 1.18], [0.0017, 4.3300]], 0.0981, 100),
    ],
)
def test_delta_i_and_safeness_of_printed_differences_are_the_printed_ones(
    table: tuple[Nested, Flags], better_by: Nested, expected: float, eta: float
) -> None:
    parts = safe_scores(table, better_by)
    assert delta_i(*parts) == pytest.approx(expected, abs=6e-5)
    assert delta_m(*parts) == pytest.approx(100 * expected, abs=6e-3)
    assert round(safeness(*parts) or 0) == eta


def test_equal_is_safe_and_a_missing_number_leaves_no_safeness() -> None:
    same = {"a": {"x": 1.0, "y": 2.0}}
    directions = {"a": {"x": True, "y": False}}
    assert safeness(same, same, directions) == 100
    assert safeness({"a": {"x": 0.9, "y": 2.0}}, same, directions) == 50
    assert safeness({"a": {"x": 1.0}}, same, directions) is None
    assert safeness({"a": {"x": 1.0, "y": math.nan}}, same, directions) is None
    assert safeness({}, {}, {}) is None


@given(value=positive, reference=positive)
def test_relative_change_is_positive_exactly_where_the_value_is_better(
    value: float, reference: float
) -> None:
    up = relative_change(value, reference, higher_is_better=True)
    down = relative_change(value, reference, higher_is_better=False)
    assert up is not None
    assert up == -down  # type: ignore[operator]  # a number, as its opposite is
    assert (up > 0) == (value > reference)


def test_relative_change_of_a_negative_reference_keeps_its_sign() -> None:
    assert relative_change(-1.0, -2.0, higher_is_better=True) == 0.5
    assert relative_change(-1.0, -2.0, higher_is_better=False) == -0.5


def test_equal_is_zero_without_a_minus_which_tables_read_as_worse() -> None:
    for higher_is_better in (True, False):
        change = relative_change(2.0, 2.0, higher_is_better=higher_is_better)
        assert f"{change:+.2f}" == "+0.00"


def test_nothing_is_said_where_nothing_can_be() -> None:
    assert relative_change(1.0, 0.0, higher_is_better=True) is None
    assert relative_change(math.nan, 1.0, higher_is_better=True) is None
    directions = {"0": {"score": True}, "1": {"score": True}}
    assert delta_m(one_metric([1.0]), one_metric([1.0, 2.0]), directions) is None
    assert delta_m(one_metric([1.0, 2.0]), one_metric([1.0]), directions) is None
    assert delta_m({}, {}, {}) is None


def test_total_is_ptgs_total_mae() -> None:
    # Golden: the STL row of PTG's Table 4, which prints 3.050.
    values = [0.64, 0.37, 0.68, 0.36, 0.56, 0.29, 0.15]
    leading = {str(k): "score" for k in range(7)}
    assert total(one_metric(values), leading) == pytest.approx(3.05, abs=1e-12)


def test_total_is_ptgs_total_error() -> None:
    # Golden: the least errors over the two groups of PTG's Table 2 that contain a task; 49.534 is
    # printed, of errors before they were rounded.
    values = [6.55, 11.09, 4.19, 12.05, 2.58, 2.88, 4.80, 4.71, 0.70]
    leading = {str(k): "score" for k in range(9)}
    assert total(one_metric(values), leading) == pytest.approx(49.534, abs=0.02)


def test_total_of_different_metrics_or_missing_tasks_is_none() -> None:
    scores = {"a": {"miou": 0.5}, "b": {"abs_error": 0.1}}
    assert total(scores, {"a": "miou", "b": "abs_error"}) is None
    assert total(scores, {"a": "miou", "c": "miou"}) is None
    assert total(scores, {}) is None


def test_std_is_that_of_a_sample() -> None:
    assert mean_and_std([1.0, 3.0]) == (2.0, pytest.approx(math.sqrt(2)))
    assert mean_and_std([2.0]) == (2.0, None)
    assert mean_and_std([2.0, None]) == (None, None)
