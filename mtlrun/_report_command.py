"""`mtlrun report`: run folders as tables."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from mtlrun._catalogue import did_you_mean
from mtlrun._command_parser import CommandParser
from mtlrun._terminal import say, show
from mtlrun.core.files import write_whole
from mtlrun.reports.against import Asked, compare
from mtlrun.reports.counterparts import counterparts_of, known_tables
from mtlrun.reports.documents import Format, grids_as, tables_as
from mtlrun.reports.measures import Split
from mtlrun.reports.page import to_page
from mtlrun.reports.results import tables_of
from mtlrun.reports.runs import Collection, collect
from mtlrun.reports.significance import compare_rows

PLAIN_WIDTH = 100
TOLERANCE = 0.05
EPILOG = """\
A table for every data, backbone and budget; rows are methods and settings that differ, means and sample
deviations are over seeds alone. delta_m, delta_i and eta are beside the single-task runs of the same
table. `!` marks numbers further from the paper's than they should be.
"""


def report_command(words: Sequence[str]) -> int:
    """Prints or writes what folders of runs come to.

    Args:
        words: The command's words after `report`.

    Returns:
        The exit code.

    Raises:
        ValueError: If words or folders are bad, or seeds are there twice.
        NoRunsError: If there is no finished run.
    """
    parser = _parser()
    if "--help" in words or "-h" in words:
        show(parser.format_help())
        return 0
    asked = parser.parse_args(list(words))
    if asked.against is not None and asked.against not in known_tables():
        return _list_papers(asked.against)
    if asked.tolerance is not None and not asked.tolerance >= 0:
        raise ValueError(
            f"`--tolerance` should be a share, 0 or more. Found `--tolerance {asked.tolerance:g}`."
        )
    if asked.tolerance is not None and asked.against is None:
        raise ValueError(
            f"`--tolerance` is of differences from a paper's table. Found `--tolerance "
            f"{asked.tolerance:g}` without a table. Add --against TABLE."
        )
    if asked.html:
        asked.format, asked.out = "html", asked.out or Path("report.html")
    collection = collect(asked.folders or [Path("outputs")])
    for remark in collection.remarks():
        say(f"mtlrun: {remark}")
    _write(_document(asked, collection), asked)
    return 0


def _list_papers(name: str) -> int:
    """Prints the tables that there are; ValueError where another was asked for."""
    known = [table for table in known_tables() if counterparts_of(table).rows]
    if name != "list":
        raise ValueError(
            f"`--against` should be `list` or a table of a paper: {', '.join(known)}. Found "
            f"`{name}`.{did_you_mean(name, known)}"
        )
    for own in known:
        show(own)
    return 0


def _document(asked: argparse.Namespace, collection: Collection) -> str:
    tables, remarks = tables_of(
        collection.runs, split=asked.select, chosen_on=asked.groups_chosen_on
    )
    for remark in remarks:
        say(f"mtlrun: {remark}")
    beside = []
    if asked.test is not None:
        beside += compare_rows(tables, *asked.test)
    if asked.against is not None:
        tolerance = TOLERANCE if asked.tolerance is None else asked.tolerance
        how = Asked(asked.select, asked.groups_chosen_on, tolerance)
        beside.append(compare(asked.against, tables, how))
    if asked.format == "html":
        return to_page(tables, beside, [*collection.remarks(), *remarks])
    watched = sys.stdout.isatty() and asked.out is None
    width = shutil.get_terminal_size().columns if watched else PLAIN_WIDTH
    if beside:
        return grids_as(asked.format, beside, width=width, colour=watched)
    return tables_as(asked.format, tables, width=width, colour=watched)


def _write(text: str, asked: argparse.Namespace) -> None:
    if asked.out is None:
        show(text)
        return
    write_whole(asked.out, lambda path: path.write_text(text, encoding="utf-8"))
    show(f"Wrote {asked.out}.")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mtlrun report",
        usage="mtlrun report [FOLDERS] [--format F] [--out PATH] [options]",
        description="Tables of finished runs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("folders", nargs="*", type=Path, metavar="FOLDERS", help="default: outputs")
    add(
        "--format",
        choices=(*get_args(Format), "html"),
        default="terminal",
        help="default: terminal",
    )
    add(
        "--html", action="store_true", help="one page with figures: --format html --out report.html"
    )
    add("--out", type=Path, metavar="PATH", help="write to a file instead of stdout")
    add("--select", choices=get_args(Split), default="test", help="whose scores; default: test")
    add(
        "--groups-chosen-on", choices=get_args(Split),
        help="the split that picks among groups that serve one task; default: as the runs were told",
    )  # fmt: skip
    add(
        "--test",
        nargs=2,
        metavar="ROW",
        help="Welch's test between two rows, named as in the table",
    )
    add("--against", metavar="TABLE", help="a paper's table, as dsmtl/table2, or `list`")
    add(
        "--tolerance", type=float, metavar="SHARE",
        help=f"of a paper's number that has no deviation; default: {TOLERANCE:g}",
    )  # fmt: skip
    return parser
