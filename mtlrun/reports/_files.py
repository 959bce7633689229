"""Tables as files that are whole or not there."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mtlrun.core.files import write_whole


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table; floats as the shortest decimals that read back as the same."""

    def write(partial: Path) -> None:
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    write_whole(path, write)
