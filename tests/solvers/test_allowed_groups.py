"""The groups that searches train: all within the limits, and no others."""

from mtlrun.solvers.exact import Exact


def test_allowed_groups_are_all_within_the_limits() -> None:
    groups = Exact(num_groups=2, min_size=2, max_size=3).allowed_groups(list("abcd"))
    assert len(groups) == len(set(groups)) == 10
    assert {len(group) for group in groups} == {2, 3}
    cheap = Exact(num_groups=2, budgets=[1.0, 2.0, 3.0], capacities=3.0).allowed_groups(list("abc"))
    assert set(cheap) == {("a",), ("b",), ("c",), ("a", "b")}
