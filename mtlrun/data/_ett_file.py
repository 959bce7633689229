"""The CSV of electricity transformer data."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtlrun.core.data import DataError

DATE = "date"


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a file: `dates` [N] in seconds, `values` [N, C] float64."""

    dates: np.ndarray
    values: np.ndarray


def read_rows(path: Path, series: Sequence[str]) -> Rows:
    """The dates and the named series of a file; other columns are left out.

    Raises:
        DataError: If the file cannot be read, a column is missing, or a cell is empty or malformed.
    """
    try:
        lines = [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"`{path}` should be a readable text file in UTF-8. Found: {error}. Check the file."
        ) from error
    header = [name.strip() for name in next(csv.reader(lines[:1]), [])]
    columns = [DATE, *series]
    missing = [name for name in columns if name not in header]
    if missing:
        raise DataError(
            f"The first line of `{path}` should name the columns {', '.join(columns)}. Found "
            f"{', '.join(header) or 'an empty file'}; missing: {', '.join(missing)}. Get the file anew or "
            f"set data.path."
        )
    if len(lines) == 1:
        raise DataError(f"`{path}` should have rows below its first line. Found none.")
    places = [header.index(name) for name in columns]
    try:
        table = np.loadtxt(
            lines[1:],
            dtype=[("date", "U32"), ("values", "f8", (len(series),))],
            delimiter=",",
            usecols=places,
            comments=None,
            quotechar='"',
        )
        table = np.atleast_1d(table)
        rows = Rows(table["date"].astype("datetime64[s]"), table["values"])
    except ValueError as error:
        raise _bad_cell(path, lines, columns, places, str(error)) from error
    if np.isnat(rows.dates).any() or not np.isfinite(rows.values).all():
        raise _bad_cell(path, lines, columns, places, "a value that is not finite")
    return rows


def _bad_cell(
    path: Path, lines: Sequence[str], columns: Sequence[str], places: Sequence[int], fault: str
) -> DataError:
    """Names the first cell that cannot be read; the fast reader's words if there is none."""
    for number, row in enumerate(csv.reader(lines[1:]), start=2):
        for name, place in zip(columns, places, strict=True):
            cell = row[place].strip() if place < len(row) else ""
            if _is_readable(cell, name):
                continue
            wanted = "a date such as 2016-07-01 00:15:00" if name == DATE else "a finite number"
            return DataError(
                f"Line {number}, column `{name}` of `{path}` should hold {wanted}. Found "
                f"{f'`{cell}`' if cell else 'an empty cell'}. Fill in the cell or get the file anew."
            )
    return DataError(f"`{path}` should be a CSV of {', '.join(columns)}. Found: {fault}.")


def _is_readable(cell: str, column: str) -> bool:
    try:
        if column == DATE:
            return not np.isnat(np.datetime64(cell, "s"))
        return math.isfinite(float(cell))
    except ValueError:
        return False
