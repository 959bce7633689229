"""The selections that the published matrices imply, from files to what the command writes."""

import json
from pathlib import Path

import pytest

from mtlrun import cli
from tests.solvers import published
from tests.solvers.test_published import BEST_GROUP, GAIN, HOA

CASES = [
    *((name, ["--objective", "best_group"], *rest) for name, *rest in BEST_GROUP),
    *((name, ["--objective", "hoa"], *rest) for name, *rest in HOA),
    *((name, ["--diagonal", diagonal], *rest) for name, diagonal, *rest in GAIN),
]


def solved(path: Path, out: Path, *words: str) -> dict[str, object]:
    assert cli.main(["solve", str(path), *words, "--json", str(out)]) == 0
    result: dict[str, object] = json.loads(out.read_text())
    return result


def named(path: Path, groups: str) -> list[list[str]]:
    """Groups of digits, from 1, by the names in a file's header."""
    names = path.read_text().splitlines()[0].split(",")
    return [[names[int(digit)] for digit in group] for group in groups.split()]


@pytest.mark.parametrize(("name", "words", "m", "value", "groups"), CASES)
def test_published_matrices_give_their_groups(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    words: list[str],
    m: int,
    value: float,
    groups: str,
) -> None:
    path = published.FOLDER / f"{name.lower()}.csv"
    result = solved(path, tmp_path / "out.json", "--groups", str(m), *words)
    assert result["objective"] == pytest.approx(value, abs=1e-4 if name == "TAG_CELEBA" else 1e-6)
    assert result["groups"] == named(path, groups)
    assert (result["status"], result["gap"]) == ("optimal", 0)
    assert result["bound"] == result["objective"]
    printed = capsys.readouterr().out
    assert all(", ".join(group) in printed for group in named(path, groups))


def turned(path: Path, folder: Path) -> Path:
    """The file with rows and columns exchanged."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    copy = folder / "turned.csv"
    copy.write_text("\n".join(",".join(row) for row in zip(*rows, strict=True)) + "\n")
    return copy


def test_best_group_reads_sources_by_row(tmp_path: Path) -> None:
    path = turned(published.FOLDER / "tag_celeba.csv", tmp_path)
    words = ["--groups", "2", "--objective", "best_group"]
    result = solved(path, tmp_path / "out.json", *words)
    assert result["objective"] == pytest.approx(-85.7226, abs=1e-4)
    assert result["groups"] == named(path, "12345689 15678")


@pytest.mark.parametrize(("name", "diagonal", "m", "value", "groups"), GAIN)
def test_gain_reads_rows_as_it_reads_columns(
    tmp_path: Path, name: str, diagonal: str, m: int, value: float, groups: str
) -> None:
    path = turned(published.FOLDER / f"{name.lower()}.csv", tmp_path)
    words = ["--groups", str(m), "--diagonal", diagonal]
    result = solved(path, tmp_path / "out.json", *words)
    assert result["objective"] == pytest.approx(value, abs=1e-6)
    assert result["groups"] == named(path, groups)


@pytest.mark.parametrize("solver", ["exact", "column_generation", "branch_and_bound", "mip"])
def test_every_solver_gives_the_published_value(tmp_path: Path, solver: str) -> None:
    path = published.FOLDER / "tag_celeba.csv"
    words = ["--groups", "3", "--objective", "best_group", "--solver", solver]
    result = solved(path, tmp_path / "out.json", *words)
    assert result["objective"] == pytest.approx(-92.4384, abs=1e-4)
    assert sorted(map(len, result["groups"])) == [2, 2, 7]  # type: ignore[call-overload]
