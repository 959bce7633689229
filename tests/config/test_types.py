"""A plain value and an annotation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from mtlrun._config_types import MisfitError, fit, say


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (3, int, 3),
        (3, float, 3.0),
        (3, int | float, 3),
        (0.5, int | float, 0.5),
        (True, bool, True),
        ("x", str | None, "x"),
        (None, str | None, None),
        ("b", Literal["a", "b"], "b"),
        ([1, 2], Sequence[float], [1.0, 2.0]),
        ([1, 2], tuple[int, float], (1, 2.0)),
        ([1, 2, 3], tuple[int, ...], (1, 2, 3)),
        ([[1], []], Sequence[Sequence[int]], [[1], []]),
        ({"k": 1}, Mapping[str, float], {"k": 1.0}),
        ("a/b", Path, Path("a/b")),
        ("a/b", Path | None, Path("a/b")),
        (object, Any, object),
        ([1], Sequence[int] | None, [1]),
        ("auto", Literal["auto"] | int, "auto"),
    ],
)
def test_value_that_fits_becomes_the_annotations_type(
    value: Any, annotation: Any, expected: Any
) -> None:
    found = fit(value, annotation)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (True, int),
        (1, bool),
        (True, float),
        ("1", int),
        ("1", float),
        (1.0, int),
        (None, int),
        ("ab", Sequence[str]),
        ([1, "x"], Sequence[int]),
        ([1], tuple[int, int]),
        ("c", Literal["a", "b"]),
        (1, Literal["1"]),
        (1, str | None),
        ([], Mapping[str, int]),
        ({"k": "x"}, Mapping[str, int]),
        (3, Path),
    ],
)
def test_value_that_does_not_fit_is_refused(value: Any, annotation: Any) -> None:
    with pytest.raises(MisfitError):
        fit(value, annotation)


def test_annotations_are_said_in_words() -> None:
    assert say(int | None) == "a whole number or null"
    assert say(Literal["a", "b"]) == "one of 'a', 'b'"
    assert say(Sequence[float]) == "a list, each a number"
    assert say(tuple[int, str]) == "a list of 2 (a whole number, a text)"
    assert say(Mapping[str, bool]) == "a mapping to true or false"
