"""The best cover by trained groups."""

from itertools import combinations

import numpy as np
import pytest

from mtlrun.solvers.exact import Exact


def brute_force(groups, scores, m):
    """(value, groups): the definition tried out; of the best the fewest, then the first."""
    n = scores.shape[1]
    best = None
    for count in range(1, m + 1):
        for choice in combinations(sorted(range(len(groups)), key=lambda g: groups[g]), count):
            own = [[scores[g, t] for g in choice if t in groups[g]] for t in range(n)]
            if all(own):
                value = sum(max(values) for values in own) / n
                if best is None or value > best[0] + 1e-9:
                    best = (value, [groups[g] for g in choice])
    return best


@pytest.mark.parametrize("seed", range(40))
def test_select_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 5))
    every = [G for size in range(1, n + 1) for G in combinations(range(n), size)]
    keep = rng.permutation(len(every))[: max(1, int(rng.integers(len(every) + 1)))]
    groups = [every[g] for g in keep]
    scores = rng.normal(size=(len(groups), n)) * 10.0 ** rng.integers(-9, 10)
    if seed % 2:
        scores = rng.integers(-2, 3, size=(len(groups), n)).astype(float)
    m = int(rng.integers(1, min(n, 3) + 1))
    expected = brute_force(groups, scores / np.abs(scores).max(initial=1e-300), m)
    tasks = tuple("abcde"[:n])
    named = [[tasks[t] for t in G] for G in groups]
    if expected is None:
        with pytest.raises(ValueError, match="cover"):
            Exact(num_groups=m).select(tasks, named, scores)
        return
    plan = Exact(num_groups=m).select(tasks, named, scores)
    assert plan.objective == pytest.approx(expected[0] * np.abs(scores).max(initial=1e-300))
    assert [g.tasks for g in plan.groups] == [tuple(tasks[t] for t in G) for G in expected[1]]
    assert sorted(t for g in plan.groups for t in g.serves) == sorted(tasks)


def test_select_serves_each_task_by_its_best_group_and_ignores_scores_of_others():
    groups = [["a", "b"], ["b", "c"], ["c"]]
    scores = np.array([[1.0, 5.0, np.nan], [np.nan, 2.0, 3.0], [9.0, 9.0, 1.0]])
    plan = Exact(num_groups=2).select(["a", "b", "c"], groups, scores)
    assert [(g.tasks, g.serves) for g in plan.groups] == [
        (("a", "b"), ("a", "b")),
        (("b", "c"), ("c",)),
    ]
    assert plan.objective == 3.0


def test_select_leaves_out_groups_beyond_the_limits():
    groups = [["a", "b", "c"], ["a", "b"], ["c"]]
    scores = np.array([[9.0, 9.0, 9.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    plan = Exact(num_groups=2, max_size=2).select(["a", "b", "c"], groups, scores)
    assert [g.tasks for g in plan.groups] == [("a", "b"), ("c",)]


@pytest.mark.parametrize(
    ("groups", "scores", "found"),
    [
        ([["a"]], [[1.0, 1.0]], "cover"),
        ([["a", "b"]], [[1.0, np.nan]], "task `b`"),
        ([["a", "b"]], [[1.0]], "shape"),
        ([], np.zeros((0, 2)), "at least one group"),
        ([["a", "x"]], [[1.0, 1.0]], "x"),
        ([["a", "b"], ["b", "a"]], [[1.0, 1.0], [1.0, 1.0]], "twice"),
        (["ab"], [[1.0, 1.0]], "candidate"),
        ([[]], [[1.0, 1.0]], "candidate"),
    ],
)
def test_select_names_what_is_wrong(groups, scores, found):
    with pytest.raises(ValueError, match=found):
        Exact(num_groups=1).select(["a", "b"], groups, np.array(scores))


def test_select_wants_no_more_groups_than_exist():
    with pytest.raises(ValueError, match=r"between 1 and 3.*`num_groups = 4`.*solver.num_groups"):
        Exact(num_groups=4).select(["a", "b"], [["a", "b"]], np.ones((1, 2)))
