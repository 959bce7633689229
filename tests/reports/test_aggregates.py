import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlrun.reports.aggregates import delta_m, mean_and_std, relative_change, total

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


def test_delta_m_takes_the_mean_inside_a_task_first() -> None:
    # Golden: HPS on NYUv2, Table 2 of Deep Safe Multi-Task Learning: .0001 as a share (the misprint
    # 4.80 of the table's pixel error read as 24.80).
    reference = [[53.11, 24.80], [0.3957, 0.1632], [22.26, 15.49, 38.61, 64.43, 74.69]]
    better_by = [[1.37, 0.62], [0.0118, 0.0084], [-1.24, -1.57, -3.30, -3.33, -2.55]]
    higher = [[True, False], [False, False], [False, False, True, True, True]]
    directions = {f"t{t}": dict(enumerate(flags)) for t, flags in enumerate(higher)}
    before = {f"t{t}": dict(enumerate(own)) for t, own in enumerate(reference)}
    after = {
        task: {
            m: before[task][m] + (1 if directions[task][m] else -1) * better_by[t][m]
            for m in directions[task]
        }
        for t, task in enumerate(before)
    }
    found = delta_m(after, before, directions)  # type: ignore[arg-type]  # numbers name the metrics
    assert found == pytest.approx(0.01, abs=5e-3)


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


def test_total_of_different_metrics_or_missing_tasks_is_none() -> None:
    scores = {"a": {"miou": 0.5}, "b": {"abs_error": 0.1}}
    assert total(scores, {"a": "miou", "b": "abs_error"}) is None
    assert total(scores, {"a": "miou", "c": "miou"}) is None
    assert total(scores, {}) is None


def test_std_is_that_of_a_sample() -> None:
    assert mean_and_std([1.0, 3.0]) == (2.0, pytest.approx(math.sqrt(2)))
    assert mean_and_std([2.0]) == (2.0, None)
    assert mean_and_std([2.0, None]) == (None, None)
