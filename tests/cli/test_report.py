"""`mtlrun report` on folders of runs, as a process."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reports.run_folders import SINGLE, result, scaled, write_run


def report(*words: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "mtlrun", "report", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    for seed, factor in enumerate((0.95, 1.0, 1.05)):
        write_run(tmp_path, result("single_task", seed, scaled(SINGLE, factor)))
        write_run(tmp_path, result("hps", seed, scaled(SINGLE, factor + 0.1)))
    return tmp_path


def test_tables_of_every_format_say_the_same(outputs: Path) -> None:
    code, plain, err = report(outputs)
    assert (code, err) == (0, "")
    assert "nyuv2, resnet50, 200 epochs" in plain
    assert "0.5500 \u00b1 0.0250*" in plain
    _, markdown, _ = report(outputs, "--format", "md")
    assert "| hps | 3 | **0.5500 \u00b1 0.0250** |" in markdown
    assert "segmentation miou \u2191" in markdown
    _, latex, _ = report(outputs, "--format", "latex")
    assert r"\multicolumn{2}{c}{segmentation}" in latex
    assert r"single\_task & 3 & 0.5000 $\pm$ 0.0250" in latex
    _, text, _ = report(outputs, "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    (line,) = [own for own in lines if (own["method"], own["name"]) == ("hps", "miou")]
    assert float(line["mean"]) == pytest.approx(0.55)
    assert float(line["std"]) == pytest.approx(0.025)
    assert (line["n"], line["seeds"], line["direction"]) == ("3", "0 1 2", "higher")


def test_a_file_is_written_whole_and_named(outputs: Path, tmp_path: Path) -> None:
    path = tmp_path / "tables" / "all.md"
    code, out, _ = report(outputs, "--format", "md", "--out", path)
    assert (code, out.strip()) == (0, f"Wrote {path}.")
    assert path.read_text().startswith("## nyuv2")


def test_two_rows_are_tested(outputs: Path) -> None:
    code, out, _ = report(outputs, "--test", "hps", "single_task")
    assert code == 0
    assert "Welch" in out
    assert "+0.0500" in out


def test_what_is_left_out_is_said_beside_the_results(outputs: Path) -> None:
    path = outputs / "nyuv2" / "hps" / "default" / "seed2" / "result.json"
    path.write_text(path.read_text()[:50])
    code, out, err = report(outputs)
    assert code == 0
    assert "seed2/result.json: it should hold JSON" in err
    assert "seeds 0, 1, 2 (single_task); 0, 1 (hps)" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 2, "not there"),
        (["--format", "pdf"], 2, "--format"),
        (["--test", "hps"], 2, "--test"),
        (["--test", "hps", "mgda"], 2, "Rows: "),
        (["--unknown"], 2, "--unknown"),
        (["empty"], 3, "Found none"),
    ],
)
def test_bad_words_are_named(outputs: Path, words: list[str], code: int, message: str) -> None:
    (outputs / "empty").mkdir()
    given = [str(outputs / word) if word in ("nowhere", "empty") else word for word in words]
    folders = [] if given[0].startswith(str(outputs)) else [outputs]
    found, out, err = report(*folders, *given)
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_five_hundred_runs_are_reported_in_two_seconds_without_torch(tmp_path: Path) -> None:
    for seed in range(10):
        for lr in range(50):
            content = result("hps", seed, scaled(SINGLE, 1 + lr / 100), optimizer__lr=lr + 1.0)
            content["config"]["method"] |= {f"setting{k}": k for k in range(60)}
            content["padding"] = "x" * 10_000  # with these as much as a run of five tasks has
            write_run(tmp_path, content, name=f"lr{lr}")
    script = (
        "import sys, time; from mtlrun.cli import main; "
        f"assert main(['report', {str(tmp_path)!r}, '--format', 'csv']) == 0; "
        "assert not {'torch', 'hydra', 'omegaconf', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules); "
        "print(time.process_time(), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 50 * 6 + 1
    assert float(done.stderr.splitlines()[-1]) < 2


def test_a_papers_table_stands_beside_ours(outputs: Path) -> None:
    code, out, err = report(outputs, "--against", "dsmtl/table2", "--format", "md")
    assert (code, err) == (0, "")
    assert "| HPS: paper | 54.48 |" in out
    assert "| hps, n=3: ours | 55.00 \u00b1 2.50 |" in out
    assert "rows without a counterpart: Cross-stitch" in out
    code, out, _ = report("--against", "list")
    assert (code, out.split()[:2]) == (0, ["dsmtl/table1", "dsmtl/table2"])
    assert not {"vmtl/c16", "ptg/table5"} & set(out.split())  # of no runs
    code, _, err = report(outputs, "--against", "ptg/table5")
    assert (code, "which none has" in err) == (2, True)
    code, _, err = report(outputs, "--against", "dsmtl/table22")
    assert code == 2
    assert "Did you mean `dsmtl/table2`" in err
    for text in ("-0.1", "nan"):
        code, _, err = report(outputs, "--against", "dsmtl/table2", "--tolerance", text)
        assert code == 2
        assert "`--tolerance` should be a share, 0 or more" in err
    code, _, err = report(outputs, "--tolerance", "0.1")
    assert (code, "without a table. Add --against TABLE" in err) == (2, True)


def test_a_page_is_written_with_figures_and_the_papers_table(outputs: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    words = [str(outputs), "--html", "--out", str(path), "--against", "dsmtl/table2"]
    script = (
        f"import sys; from mtlrun.cli import main; assert main(['report', *{words!r}]) == 0; "
        "assert not {'torch', 'hydra', 'matplotlib', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    page = path.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "dsmtl/table2 beside ours" in page
