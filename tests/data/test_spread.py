import pytest

from mtlrun.data._spread import spread


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(0, 3, []), (2, 3, [0, 1]), (3, 3, [0, 1, 2]), (7, 3, [0, 2, 4]), (5, 1, [0])],
)
def test_some_are_evenly_spaced_and_few_are_all(count: int, most: int, expected: list[int]) -> None:
    assert spread(range(count), most) == expected
