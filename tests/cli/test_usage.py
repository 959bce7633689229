"""What the command does before it runs anything."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mtlrun import cli
from mtlrun._catalogue import conf_folder, describe, options
from mtlrun._config_check import ConfigError
from mtlrun.core.data import DataError
from mtlrun.core.method import DivergedError
from mtlrun.engine.interrupt import Interrupted


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["list"], ["list", "methods"], ["lst"]]
)
def test_light_commands_import_neither_torch_nor_hydra(words: list[str]) -> None:
    program = (
        "import sys; from mtlrun.cli import main; main(sys.argv[1:]);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'hydra', 'omegaconf')))"
    )
    command = [sys.executable, "-c", program, *words]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mtlrun", "--seed", "3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "Settings are written `seed=3`" in done.stderr


def test_reader_that_stops_reading_is_no_error() -> None:
    command = f"set -o pipefail; {sys.executable} -m mtlrun list | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "methods:\n", "")


def test_help_shows_five_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    examples = capsys.readouterr().out.split("examples:")[1].split("\n\n")[0]
    assert len([line for line in examples.splitlines() if line.strip().startswith("mtlrun")]) == 5


def test_list_prints_names_with_their_first_comment_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["list", "trainers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["default", "smoke"]
    assert "recipes set what a dataset needs" in lines[0]


def test_every_file_that_is_listed_says_what_it_is() -> None:
    for group in cli.LISTED.values():
        for name, text in options(group).items():
            assert text.endswith((".", "]")), f"conf/{group}/{name}.yaml begins with {text!r}"


def test_description_skips_directives(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("# @package _global_\n# A row. [Table 1]\nkey: 1\n")
    assert describe(file) == "A row. [Table 1]"
    file.write_text("key: 1\n# late\n")
    assert describe(file) == ""


def test_options_of_folders_below_a_group_have_their_path(tmp_path: Path) -> None:
    (tmp_path / "experiment" / "dsmtl").mkdir(parents=True)
    (tmp_path / "experiment" / "dsmtl" / "table1.yaml").write_text("# Row.\n")
    assert options("experiment", tmp_path) == {"dsmtl/table1": "Row."}


def test_configuration_lies_where_it_is_looked_for() -> None:
    assert (conf_folder() / "config.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lst", "methods"], "Did you mean `mtlrun list`?"),
        (["smoke"], "Did you mean `trainer=smoke`?"),
        (["list", "methds"], "Did you mean `methods`?"),
        (["--cfg=job"], "Settings are written `cfg=job`"),
        (["-x"], "Settings are written `x=VALUE`"),
    ],
)
def test_bad_usage_says_the_way_out(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    caught = capsys.readouterr()
    assert expected in caught.err
    assert caught.out == ""


def test_config_prints_what_would_be_run_and_tells_everything_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, conf: Path
) -> None:
    monkeypatch.setattr("mtlrun.config.conf_folder", lambda: conf)
    assert cli.main(["config", "seed=7"]) == 0
    assert "seed: 7" in capsys.readouterr().out
    assert cli.main(["config", "foo", "sed=7", "--seed=3"]) == 2
    error = capsys.readouterr().err
    assert error.count("  - ") == 3


def test_data_root_comes_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, conf: Path
) -> None:
    monkeypatch.setattr("mtlrun.config.conf_folder", lambda: conf)
    monkeypatch.setenv("MTLRUN_DATA", "/somewhere")
    assert cli.main(["config"]) == 0
    assert "root: /somewhere/a" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError(["`x` is wrong."]), 2),
        (DataError("no file"), 3),
        (DivergedError("a loss is not finite"), 4),
        (ValueError("from elsewhere"), 1),
        (RuntimeError("operator torchvision::nms does not exist"), 1),
        (Interrupted(15), 143),
        (Interrupted(2), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_end_with_their_exit_code(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(words: object) -> int:
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    monkeypatch.delenv("MTLRUN_DEBUG", raising=False)
    assert cli.main([]) == code
    said = capsys.readouterr().err
    assert ("Traceback" in said) == (code == 1)
    assert ("pip install --force-reinstall" in said) == ("torchvision" in str(error))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "There should be room for outputs/x/result.json. Found: No space left"),
        (errno.EROFS, "outputs/x/result.json should be where this user may write"),
        (errno.EACCES, "Set outputs=FOLDER"),
    ],
)
def test_disk_says_the_way_out_without_a_traceback(
    number: int,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(words: object) -> int:
        raise OSError(number, os.strerror(number), "outputs/x/result.json")

    monkeypatch.setattr(cli, "_run", fail)
    monkeypatch.delenv("MTLRUN_DEBUG", raising=False)
    assert cli.main([]) == 1
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said


def test_value_error_of_our_own_is_the_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mtlrun.core.grouping import Plan

    monkeypatch.setattr(cli, "_run", lambda words: Plan.from_json("[]"))
    assert cli.main([]) == 2
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("MTLRUN_DEBUG", "1")
    assert cli.main([]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_failed_run_leaves_its_error_in_its_folder(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtlrun.config.conf_folder", lambda: conf)
    assert cli.main(["data=broken", f"outputs={tmp_path}"]) == 3
    log = tmp_path / "broken" / "hps" / "default" / "seed0" / "error.log"
    assert "column OT" in log.read_text()
    monkeypatch.setenv("RANK", "1")
    assert cli.main(["data=broken", f"outputs={tmp_path}"]) == 3
    assert log.with_name("error.1.log").is_file()
