"""`mtlrun solve` on files, as a process."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mtlrun.core.grouping import Affinity
from tests.solvers import published

NAMES = [f"a{i}" for i in range(1, 10)]


def _write(path: Path, matrix: np.ndarray, names: list[str]) -> Path:
    rows = [",".join(["", *names])]
    rows += [",".join([n, *map(repr, map(float, r))]) for n, r in zip(names, matrix, strict=True)]
    path.write_text("\n".join(rows) + "\n")
    return path


def _solve(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "mtlrun", "solve", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("matrix", "names", "words", "value", "groups"),
    [
        (published.TAG_CELEBA, NAMES, ["--groups", "2", "--objective", "best_group"], -99.4419,
         [[1, 7], [2, 3, 4, 5, 6, 7, 8, 9]]),
        (published.TAG_CELEBA, NAMES, ["--groups", "3", "--objective", "best_group"], -92.4384,
         [[2, 4], [1, 7], [2, 3, 5, 6, 7, 8, 9]]),
        (published.HOA_CELEBA, NAMES, ["--groups", "2", "--objective", "hoa"], 6.520370,
         [[5, 7], [1, 2, 3, 4, 6, 8, 9]]),
        (published.TAG_TASKONOMY, NAMES[:5], ["--groups", "2"], 17.936094, [[1], [1, 2, 3, 4, 5]]),
        (published.CS_TASKONOMY, NAMES[:5], ["--groups", "2", "--diagonal", "zero"], 5.047404,
         [[4, 5], [1, 2, 3, 4, 5]]),
    ],
)  # fmt: skip
def test_published_selections(
    tmp_path: Path,
    matrix: np.ndarray,
    names: list[str],
    words: list[str],
    value: float,
    groups: list[list[int]],
) -> None:
    path, out = _write(tmp_path / "affinity.csv", matrix, names), tmp_path / "out.json"
    code, text, err = _solve(str(path), *words, "--json", str(out))
    assert code == 0, err
    result = json.loads(out.read_text())
    assert {"groups", "objective", "bound", "status", "seconds"} <= set(result)
    assert result["objective"] == pytest.approx(value, abs=2e-4)
    assert result["status"] == "optimal"
    assert {tuple(g) for g in result["groups"]} == {tuple(f"a{i}" for i in g) for g in groups}
    assert "optimal" in text


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("a,b\n1,nan\n0,1\n", ["--groups", "1"], "nan"),
        ("a,b\n1,x\n0,1\n", ["--groups", "1"], "x"),
        ("a,b\n1,0\n", ["--groups", "1"], "first column"),
        ("a,a\n1,0\n0,1\n", ["--groups", "1"], "a"),
        ("", ["--groups", "1"], "empty"),
        ("a,b\n1,0\n0,1\n", ["--groups", "0"], "num_groups"),
        ("a,b\n1,0\n0,1\n", ["--groups", "9"], "num_groups"),
        ("a,b\n1,0\n0,1\n", ["--groups", "1", "--min-size", "3"], "min_size"),
        ("a,b\n1,0\n0,1\n", ["--groups", "1", "--objective", "best"], "best"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, content: str, words: list[str], message: str) -> None:
    path = tmp_path / "affinity.csv"
    path.write_text(content)
    code, out, err = _solve(str(path), *words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_errors_of_pairs_are_read_as_such(tmp_path: Path) -> None:
    path, out = tmp_path / "affinity.json", tmp_path / "out.json"
    tasks = tuple(f"a{i}" for i in NAMES)
    path.write_text(Affinity(tasks, published.HOA_CELEBA, 1, "hoa").to_json())
    code, _, err = _solve(str(path), "--groups", "2", "--json", str(out))
    assert code == 0, err
    assert json.loads(out.read_text())["objective"] == pytest.approx(6.520370, abs=2e-4)
    code, _, err = _solve(str(path), "--groups", "2", "--objective", "gain")
    assert code == 2
    assert "which `--objective hoa` reads" in " ".join(err.split())


def test_solving_imports_no_torch(tmp_path: Path) -> None:
    path = _write(tmp_path / "m.csv", published.TAG_TASKONOMY, NAMES[:5])
    script = (
        "import sys; from mtlrun.cli import main; "
        f"words = ['--groups', '2', '--json', {str(tmp_path / 'out.json')!r}]; "
        f"words += ['--figure', {str(tmp_path / 'out.png')!r}]; "
        f"assert main(['solve', {str(path)!r}, *words]) == 0; "
        "assert not {'torch', 'hydra', 'omegaconf', 'scipy', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
