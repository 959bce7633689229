"""What the headers of the papers' tables in conf/experiment/ say to expect."""

import re

import pytest

from mtlrun._catalogue import conf_folder, options
from mtlrun.reports.printed import misprints, read_table, table_names

NAMES = [name for name in options("experiment") if name in table_names()]
DECIMAL = re.compile(r"[-+]?\d+\.\d+")
ELSEWHERE = re.compile(r"in Table (\w+)")


def numbers(*texts: str) -> set[float]:
    return {float(number) for text in texts for number in DECIMAL.findall(text)}


def known(name: str) -> set[float]:
    """What a table prints, in cells and in the names of its settings, and what is noted on it."""
    cells = {part for cell in read_table(name) for part in (cell.text, cell.setting)}
    noted = {part for own in misprints(name) for part in (own.printed, own.read_as, own.reason)}
    return numbers(*cells, *noted)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_to_expect_are_printed_in_the_papers_table(name: str) -> None:
    text = (conf_folder() / "experiment" / f"{name}.yaml").read_text().replace("\n# ", " ")
    expected = text[text.index("Expected") : text.index("Time:")]
    others = [f"{name.partition('/')[0]}/table{own}" for own in ELSEWHERE.findall(expected)]
    assert numbers(expected) <= set().union(*map(known, [name, *others]))
