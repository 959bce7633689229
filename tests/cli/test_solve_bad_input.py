"""What `mtlrun solve` says of every bad input: one message, exit code 2, nothing on stdout."""

import json
from pathlib import Path

import numpy as np
import pytest

from mtlrun import cli

GOOD = "a,b,c\n0,1,2\n3,4,5\n6,7,8\n"
COSTS = "a,1\nb,1\nc,1\n"
BAD = [  # matrix, costs, words, what the message says
    ("a,b\n1,2\n3,4\n5,6\n", None, "--groups 1", "header row of task names and as many rows"),
    ("a,b,c\n1,2,3\n4,5,6\n", None, "--groups 1", "first column should hold the tasks"),
    ("a,b\n1,2\n3\n", None, "--groups 1", "header row of task names and as many rows"),
    ("", None, "--groups 1", "Found an empty file"),
    ("a,b\n", None, "--groups 1", "Found a header of 2 and 0 rows"),
    ("a,b\n1,nan\n0,1\n", None, "--groups 1", "`S[0,1] = nan` (source `a`, target `b`)"),
    ("a,b\n1,2\n-inf,1\n", None, "--groups 1", "`S[1,0] = -inf`"),
    ("a,b\n1,x\n0,1\n", None, "--groups 1", "row a, column b should be a number. Found `x`"),
    ("a,b\n1,\n0,1\n", None, "--groups 1", "row a, column b should be a number. Found ``"),
    ("a,a\n1,0\n0,1\n", None, "--groups 1", "distinct task names"),
    (",a,b\na,1,0\nc,0,1\n", None, "--groups 1", "first column should hold the tasks"),
    (GOOD, None, "", "--groups"),
    (GOOD, None, "--groups 0", "`num_groups = 0`"),
    (GOOD, None, "--groups -1", "`num_groups = -1`"),
    (GOOD, None, "--groups 2.5", "--groups"),
    (GOOD, None, "--groups True", "--groups"),
    (GOOD, None, "--groups three", "--groups"),
    (GOOD, None, "--groups 8", "between 1 and 7"),
    (GOOD, None, "--groups 4 --max-size 1", "between 1 and 3"),
    (GOOD, None, "--groups 6 --apart a,b", "between 1 and 5"),
    (GOOD, None, "--groups 4 --partition", "between 1 and 3"),
    (GOOD, None, "--groups 2 --partition --min-size 2", "between 1 and 1"),
    (GOOD, None, "--groups 2 --max-size 1", "cannot cover the 3 tasks"),
    (GOOD, None, "--groups 2 --min-size 3 --max-size 2", "`min_size` should be at most `max_size`"),
    (GOOD, None, "--groups 2 --min-size 4", "`min_size` should be at most"),
    (GOOD, None, "--groups 2 --min-size 0", "`min_size = 0`"),
    (GOOD, None, "--groups 2 --min-size 1.5", "--min-size"),
    (GOOD, None, "--groups 2 --max-size two", "--max-size"),
    (GOOD, None, "--groups 2 --min-joins 3", "`min_joins` should be at most"),
    (GOOD, None, "--groups 2 --partition --min-joins 2", "`min_joins = 2`"),
    (GOOD, None, "--groups 2 --objective best", "gain"),
    (GOOD, None, "--groups 2 --diagonal none", "as_given"),
    (GOOD, None, "--groups 2 --solver gurobi", "column_generation"),
    (GOOD, None, "--groups 2 --singleton-score low", "a number or `diagonal`"),
    (GOOD, None, "--groups 2 --objective best_group --singleton-score nan", "nan"),
    (GOOD, None, "--groups 2 --time-limit 0", "`time_limit = 0.0`"),
    (GOOD, None, "--groups 2 --time-limit nan", "`time_limit = nan`"),
    (GOOD, None, "--groups 2 --time-limit soon", "--time-limit"),
    (GOOD, None, "--groups 2 --together a,d", "out of a, b, c"),
    (GOOD, None, "--groups 2 --together a", "two tasks, A,B. Found `a`"),
    (GOOD, None, "--groups 2 --apart a,a", "pairs of two tasks"),
    (GOOD, None, "--groups 2 --apart a,b --together b,a", "in both"),
    (GOOD, None, "--groups 1 --apart a,b", "Found"),
    (GOOD, None, "--groups 1 --min-size 3 --apart a,b", "No group is within"),
    (GOOD, None, "--groups 2 --capacity 3", "Set solver.budgets"),
    (GOOD, COSTS, "--groups 2", "Set solver.capacities"),
    (GOOD, COSTS, "--groups 2 --capacity -1", "at least 0"),
    (GOOD, COSTS, "--groups 2 --capacity nan", "at least 0"),
    (GOOD, COSTS, "--groups 2 --capacity much", "a number, or one for each group"),
    (GOOD, COSTS, "--groups 2 --capacity 1,2,3", "or 2, one for each group"),
    (GOOD, "a,1\nb,5\nc,1\n", "--groups 2 --capacity 4,2", "Found task `b`"),
    (GOOD, "a,2\nb,2\nc,2\n", "--groups 2 --capacity 3", "cover the 3 tasks"),
    (GOOD, "a,1,9\nb,1,9\nc,1,9\n", "--groups 2 --capacity 3", "none for group 1"),
    (GOOD, "a,1,1,1\nb,1,1,1\nc,1,1,1\n", "--groups 2 --capacity 3", "shape (3, 3)"),
    (GOOD, "a,1\nb,nan\nc,1\n", "--groups 2 --capacity 3", "not finite"),
    (GOOD, "a,1\nb,x\nc,1\n", "--groups 2 --capacity 3", "row b should be a number. Found `x`"),
    (GOOD, "a,1\nb,1\n", "--groups 2 --capacity 3", "one row for each task"),
    (GOOD, "a,1\nb,1\nd,1\n", "--groups 2 --capacity 3", "one row for each task"),
    (GOOD, "a\nb\nc\n", "--groups 2 --capacity 3", "a cost beside each task's name"),
    (GOOD, None, "--groups 2 --figure f.txt", ".png"),
    (GOOD, None, "--groups 2 --group 2", "unrecognized arguments"),
]


@pytest.mark.parametrize(
    ("matrix", "costs", "words", "message"), BAD, ids=[str(k) for k in range(len(BAD))]
)
def test_bad_input_is_named(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    matrix: str,
    costs: str | None,
    words: str,
    message: str,
) -> None:
    path = tmp_path / "affinity.csv"
    path.write_text(matrix)
    command = ["solve", str(path), *words.split()]
    if costs is not None:
        (tmp_path / "costs.csv").write_text(costs)
        command += ["--budgets", str(tmp_path / "costs.csv")]
    assert cli.main(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("mtlrun: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_files_that_cannot_be_read_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    absent, broken = tmp_path / f"absent.{suffix}", tmp_path / f"broken.{suffix}"
    broken.write_bytes(b"\xff\xfe{")
    for path in (absent, broken, tmp_path):
        assert cli.main(["solve", str(path), "--groups", "1"]) == 2
        assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("matrix", "costs", "words", "value"),
    [
        ("a\n2.5\n", None, "--groups 1", "gain 2.5"),
        ("a\n2.5\n", None, "--groups 1 --objective hoa", "hoa 2.5"),
        ("a\n2.5\n", None, "--groups 1 --objective best_group", "best_group -1000000"),
        (GOOD, None, "--groups 1", "gain 12"),
        (GOOD, None, "--groups 7", "gain 48"),
        (GOOD, COSTS, "--groups 1 --capacity inf", "gain 12"),
        (GOOD, "a,-1\nb,3\nc,1\n", "--groups 1 --capacity 3", "gain 12"),
    ],
)
def test_input_at_its_limits_is_solved(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    matrix: str,
    costs: str | None,
    words: str,
    value: str,
) -> None:
    path = tmp_path / "affinity.csv"
    path.write_text(matrix)
    command = ["solve", str(path), *words.split()]
    if costs is not None:
        (tmp_path / "costs.csv").write_text(costs)
        command += ["--budgets", str(tmp_path / "costs.csv")]
    assert cli.main(command) == 0
    # All 7 groups: 0 + 4 + 8 alone, (0+1+3+4)/2 + (0+2+6+8)/2 + (4+5+7+8)/2 in pairs, 36/3 all
    assert value in capsys.readouterr().out.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("words", ["", "--partition", "--objective best_group", "--objective hoa"])
def test_a_second_for_a_hundred_tasks_gives_groups_and_a_bound(tmp_path: Path, words: str) -> None:
    names = [f"t{k}" for k in range(100)]
    matrix = np.random.default_rng(0).normal(size=(100, 100))
    path, out = tmp_path / "affinity.csv", tmp_path / "out.json"
    rows = [",".join(names), *(",".join(map(repr, row)) for row in matrix.tolist())]
    path.write_text("\n".join(rows) + "\n")
    command = ["solve", str(path), "--groups", "10", "--time-limit", "1", "--json", str(out)]
    assert cli.main([*command, *words.split()]) == 0
    result = json.loads(out.read_text())
    assert {task for group in result["groups"] for task in group} == set(names)
    sign = -1 if "hoa" in words else 1
    assert np.isfinite(result["bound"])
    assert sign * result["bound"] >= sign * result["objective"]
