"""Every file of conf/ composes, names the file that it configures, and passes the check."""

from pathlib import Path

import pytest
import yaml

from mtlrun import config
from mtlrun._catalogue import conf_folder, options

GROUPS = {
    "data": "data", "backbone": "backbones", "method": "methods", "weighting": "weightings",
    "solver": "solvers",
}  # fmt: skip
OTHERS = ("optimizer", "scheduler", "trainer", "logger", "recipe", "experiment")
FILES = [(group, name) for group in (*GROUPS, *OTHERS) for name in options(group)]


@pytest.mark.parametrize(("group", "name"), FILES, ids=lambda value: value)
def test_every_file_passes_the_check(group: str, name: str) -> None:
    config.compose([f"{group}={name}"])


@pytest.mark.parametrize(("group", "name"), FILES, ids=lambda value: value)
def test_every_file_says_in_a_line_what_it_is(group: str, name: str) -> None:
    assert len(options(group)[name]) > 10


@pytest.mark.parametrize(
    ("group", "name"), [own for own in FILES if own[0] in GROUPS], ids=lambda value: value
)
def test_the_file_name_is_the_registry(group: str, name: str) -> None:
    values = yaml.safe_load((Path(conf_folder()) / group / f"{name}.yaml").read_text())
    assert values["_target_"].startswith(f"mtlrun.{GROUPS[group]}.{name}.")
