"""Every file of conf/ composes, names the file that it configures, and passes the check."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from mtlrun import config
from mtlrun._catalogue import conf_folder, options
from mtlrun._experiment import Cell, read_table

GROUPS = {
    "data": "data", "backbone": "backbones", "method": "methods", "weighting": "weightings",
    "solver": "solvers",
}  # fmt: skip
OTHERS = ("optimizer", "scheduler", "trainer", "logger", "recipe", "experiment")
FILES = [(group, name) for group in (*GROUPS, *OTHERS) for name in options(group)]
BUILT_IN = ("scenes", "multi_domain_toy")
TABLES = {n: t for n in options("experiment") if (t := read_table(n, conf_folder())) is not None}


@pytest.mark.parametrize(("group", "name"), FILES, ids=lambda value: value)
def test_every_file_passes_the_check(group: str, name: str) -> None:
    if group != "experiment" or name not in TABLES:  # those have tests of their own
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


def _compose(name: str, cells: Sequence[Cell], *, miniature: bool) -> None:
    for cell in cells:
        words = [f"experiment={name}", f"row={cell.row}", f"setting={cell.setting or 'null'}"]
        found = config.compose([*words, f"miniature={str(miniature).lower()}"])
        assert (found.values["row"], found.values["setting"]) == (cell.row, cell.setting)
        assert found.values["miniature"] == miniature
        assert not miniature or found.choices["data"] in BUILT_IN


@pytest.mark.parametrize("miniature", [False, True])
@pytest.mark.parametrize("name", TABLES)
def test_every_tables_last_row_composes(name: str, miniature: bool) -> None:
    _compose(name, TABLES[name].cells[-1:], miniature=miniature)


def _covering(cells: Sequence[Cell]) -> list[Cell]:
    """Cells in which every row and every setting stands at least once."""
    seen: set[tuple[str, str | None]] = set()
    found = []
    for cell in cells:
        names = {("row", cell.row), ("setting", cell.setting)}
        if not names <= seen:
            seen |= names
            found.append(cell)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_row_and_every_setting_of_a_table_compose(name: str) -> None:
    with config.together():
        _compose(name, _covering(TABLES[name].cells), miniature=False)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_says_what_to_expect_how_long_it_takes_and_how_to_run_it(name: str) -> None:
    text = (conf_folder() / "experiment" / f"{name}.yaml").read_text()
    table = TABLES[name]
    assert table.miniature
    for part in (
        "# Expected",
        "# Time: ",
        f"#   mtlrun -m experiment={name}\n",
        f"#   mtlrun -m experiment={name} miniature=true",
        f"{len(table.cells) * len(table.seeds)} runs",
    ):
        assert part in text


@pytest.mark.parametrize("name", TABLES)
def test_every_tables_settings_change_each_of_its_rows(name: str) -> None:
    cells = TABLES[name].cells
    for row in TABLES[name].rows:
        words = [frozenset(cell.words) for cell in cells if cell.row == row]
        assert len(set(words)) == len(words), row
