"""Makes the package's copies of the papers' results from one table of all of them.

    python scripts/make_papers.py RESULTS.csv

RESULTS.csv has a row for every printed number: paper, table, dataset, backbone, setting, method,
group_index, task, metric, direction, value, std, kind, note. Values stay as printed: misprints are
noted in mtlrun/reports/papers/misprints.csv.
"""

import csv
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "mtlrun" / "reports" / "papers"
KEPT = (
    "table", "dataset", "backbone", "setting", "method", "group", "task", "metric", "direction",
    "value", "std", "kind", "note",
)  # fmt: skip


def main(source: Path) -> None:
    """Writes a CSV for every paper."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for paper in dict.fromkeys(row["paper"] for row in rows):
        path = FOLDER / f"{paper.lower()}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(KEPT)
            for row in rows:
                if row["paper"] == paper:
                    own = {**row, "table": short(row["table"]), "group": row["group_index"]}
                    writer.writerow([own[name] for name in KEPT])


def short(table: str) -> str:
    """The name of a table on the command line: "Table 2" is table2, "Table D.1" is d1."""
    kind, number = re.match(r"(Table|Figure) (\S+)", table).groups()  # type: ignore[union-attr]  # all match
    return f"{'' if '.' in number else kind}{number}".replace(".", "").lower()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
