"""Where Taskonomy's files are, and which buildings belong to a split."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mtlrun.core.data import DataError, SplitName

Layout = Literal["a", "b"]

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
CSV_FILE = "splits_taskonomy/train_val_test_tiny.csv"
NAME = re.compile(r"point_(\d+)_view_(\d+)_domain_rgb\.png")
FLAGS = {"0": False, "1": True, "false": False, "true": True, "": False}

WHERE_FROM = (
    "Get Taskonomy with the download tool of its authors (taskonomy.stanford.edu). Nothing is "
    "downloaded."
)


@dataclass(frozen=True, order=True, slots=True)
class View:
    """A picture: a camera in a building."""

    building: str
    point: int
    view: int


@dataclass(frozen=True)
class Files:
    """The paths of a layout.

    Attributes:
        root: The folder.
        layout: Its form.
    """

    root: Path
    layout: Layout

    def folder(self, domain: str, building: str) -> Path:
        """Of a domain's pictures of a building."""
        inner = ("taskonomy",) if self.layout == "a" else ()
        return self.root.joinpath(domain, *inner, building)

    def picture(self, domain: str, view: View) -> Path:
        """Of a domain's picture of a view."""
        folder = self.folder(domain, view.building)
        stem = f"point_{view.point}_view_{view.view}_domain_"
        path = folder / f"{stem}{domain}.png"
        if domain == "segment_semantic" and not path.exists():
            return folder / f"{stem}segmentsemantic.png"  # as the authors' tool names it
        return path

    def length(self, domain: str, view: View) -> int:
        """Bytes of a file; 0 if it is missing."""
        path = self.picture(domain, view)
        return path.stat().st_size if path.exists() else 0

    def views(self, building: str) -> list[View]:
        """All views of a building, by its RGB pictures, in order.

        Raises:
            DataError: If there is none.
        """
        folder = self.folder("rgb", building)
        found = [NAME.fullmatch(path.name) for path in folder.iterdir()] if folder.is_dir() else []
        views = sorted(View(building, int(m[1]), int(m[2])) for m in found if m)
        if not views:
            what = "pictures of that name" if folder.is_dir() else "such folder"
            raise DataError(
                f"`{folder}` should hold pictures point_*_view_*_domain_rgb.png: the split of layout "
                f"`{self.layout}` names the building `{building}`. Found no {what}. Set data.root, "
                f"data.layout, or take the building out of the split (data.splits, data.exclude). "
                f"{WHERE_FROM} For a small copy to try things with: mtlrun data taskonomy --miniature DIR."
            )
        return views


def read_buildings(files: Files, splits: Path | None) -> dict[SplitName, tuple[str, ...]]:
    """The buildings of every split.

    Args:
        files: Of the dataset.
        splits: The CSV of layout a or the folder of layout b's lists; None for those in the root.

    Raises:
        DataError: If a file is missing or malformed, or a building belongs to two splits.
    """
    if files.layout == "a":
        own = splits if splits is not None else files.root / CSV_FILE
        buildings = _read_csv(own)
    else:
        own = splits if splits is not None else files.root
        buildings = {name: _read_list(own / f"{name}_models.txt") for name in SPLITS}
    _check_disjoint(own, buildings)
    return buildings


def _read_csv(path: Path) -> dict[SplitName, tuple[str, ...]]:
    rows = list(csv.reader(_lines(path)))
    header = [name.strip() for name in rows[0]] if rows else []
    if not {"id", *SPLITS} <= set(header):
        raise DataError(
            f"The first line of `{path}` should name the columns id, {', '.join(SPLITS)}. Found "
            f"`{','.join(header)}`. Get the file anew or set data.splits."
        )
    buildings: dict[SplitName, list[str]] = {name: [] for name in SPLITS}
    for number, row in enumerate(rows[1:], start=2):
        cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
        flags = [FLAGS.get(cells.get(name, "?").lower()) for name in SPLITS]
        if not cells.get("id") or None in flags:
            raise DataError(
                f"Line {number} of `{path}` should hold a building and 0 or 1 for "
                f"{', '.join(SPLITS)}. Found `{','.join(row)}`. Correct the line."
            )
        for name, flag in zip(SPLITS, flags, strict=True):
            if flag:
                buildings[name].append(cells["id"])
    return {name: tuple(own) for name, own in buildings.items()}


def _read_list(path: Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in _lines(path))


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise DataError(
            f"`taskonomy` should have a list of its buildings' splits: in layout a the CSV `{CSV_FILE}` "
            f"with columns id,train,val,test and pictures at DOMAIN/taskonomy/BUILDING/*.png; in layout "
            f"b train_models.txt, val_models.txt and test_models.txt with a building a line and pictures "
            f"at DOMAIN/BUILDING/*.png. Found no `{path}`. Set data.root (or $MTLRUN_DATA to the folder "
            f"that holds it as `taskonomy`), data.layout or data.splits. {WHERE_FROM} For a small copy "
            f"to try things with: mtlrun data taskonomy --miniature DIR."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"`{path}` should be a readable text file in UTF-8. Found: {error}. Check the file."
        ) from error


def _check_disjoint(path: Path, buildings: Mapping[SplitName, Sequence[str]]) -> None:
    seen: dict[str, str] = {}
    for split, names in buildings.items():
        for name in names:
            if name in seen:
                raise DataError(
                    f"A building should belong to one split, once. Found `{name}` in `{seen[name]}` and "
                    f"in `{split}` of `{path}`. Take it out of one."
                )
            seen[name] = split
