"""The two lists of CelebA: attributes and splits of all pictures."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtlrun.core.data import DataError
from mtlrun.data._raycast import Array

ALL = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs",
    "Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows",
    "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones",
    "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin",
    "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair",
    "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace",
    "Wearing_Necktie", "Young",
)  # fmt: skip
NINE = (
    "5_o_Clock_Shadow", "Black_Hair", "Blond_Hair", "Brown_Hair", "Goatee", "Mustache", "No_Beard",
    "Rosy_Cheeks", "Wearing_Hat",
)  # fmt: skip
ATTRIBUTES_FILE, SPLITS_FILE, PICTURES = (
    "list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba",
)  # fmt: skip
CODES = {"0": 0, "1": 1, "2": 2}  # train, val, test
VALUES = {"1", "-1"}
FIRST_LINE = 3  # of the attribute list's rows: a count and the names stand above them

WHERE_FROM = (
    "Get CelebA's aligned pictures and lists from its authors' page "
    "(mmlab.ie.cuhk.edu.hk/projects/CelebA.html). Nothing is downloaded."
)


@dataclass(frozen=True, eq=False)
class Lists:
    """What the two lists say about N pictures.

    Attributes:
        attributes: The names of all attributes, in the order of the columns.
        names: Of the pictures' files, in the order of the lists.
        labels: [N, attributes] uint8, 1 where a picture has an attribute.
        splits: [N] uint8, 0 to 2 for training, validation and test.
        digest: SHA-256 of both files.
    """

    attributes: tuple[str, ...]
    names: tuple[str, ...]
    labels: Array
    splits: Array
    digest: str


def read_lists(root: Path) -> Lists:
    """Both lists of a folder.

    Raises:
        DataError: If a file is missing, malformed, or does not fit the other.
    """
    attributes, names, labels = _read_attributes(root / ATTRIBUTES_FILE)
    splits = _read_splits(root / SPLITS_FILE, names)
    digest = hashlib.sha256()
    for name in (ATTRIBUTES_FILE, SPLITS_FILE):
        digest.update((root / name).read_bytes())
    return Lists(attributes, names, labels, splits, digest.hexdigest())


def _read_attributes(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], Array]:
    lines = _lines(path, "the attributes of every picture")
    header = lines[1].split() if len(lines) > 1 else []
    rows = lines[2:]
    count = lines[0].strip() if lines else ""
    if not count.isdigit() or not header:
        raise DataError(
            f"`{path}` should begin with a line that counts the pictures and a line that names the "
            f"attributes. Found `{count[:40]}` in line 1. {WHERE_FROM}"
        )
    if len(set(header)) < len(header):
        raise DataError(f"Line 2 of `{path}` should name each attribute once. Found one twice.")
    if int(count) != len(rows):
        raise DataError(
            f"`{path}` should have a row for each of the {count} pictures that line 1 counts. "
            f"Found {len(rows)}: the file is cut off or was edited. {WHERE_FROM}"
        )
    names = []
    labels = np.empty((len(rows), len(header)), np.uint8)
    for row, line in enumerate(rows):
        name, *values = line.split()
        if len(values) != len(header) or not set(values) <= VALUES:
            raise _bad_row(path, row, header, values)
        names.append(name)
        labels[row] = [value == "1" for value in values]
    return tuple(header), _distinct(path, names, FIRST_LINE), labels


def _bad_row(path: Path, row: int, header: Sequence[str], values: Sequence[str]) -> DataError:
    found = f"{len(values)} values"
    if len(values) == len(header):
        column = next(k for k, value in enumerate(values) if value not in VALUES)
        found = f"`{values[column]}` for `{header[column]}`"
    return DataError(
        f"Line {row + FIRST_LINE} of `{path}` should hold a file name and {len(header)} values of 1 "
        f"or -1. Found {found}. {WHERE_FROM}"
    )


def _read_splits(path: Path, names: Sequence[str]) -> Array:
    lines = _lines(path, "the split of every picture: 0 (train), 1 (validation) or 2 (test)")
    if len(lines) != len(names):
        raise DataError(
            f"`{path}` should have a line for each of the {len(names)} pictures of "
            f"`{ATTRIBUTES_FILE}`. Found {len(lines)}. Take both lists from the same copy. {WHERE_FROM}"
        )
    splits = np.empty(len(names), np.uint8)
    for row, (line, name) in enumerate(zip(lines, names, strict=True)):
        own, *code = line.split()
        if len(code) != 1 or code[0] not in CODES:
            raise DataError(
                f"Line {row + 1} of `{path}` should hold a file name and 0 (train), 1 (validation) or "
                f"2 (test). Found `{line.strip()[:60]}`. {WHERE_FROM}"
            )
        if own != name:
            raise DataError(
                f"Line {row + 1} of `{path}` should be about `{name}`, as line {row + FIRST_LINE} of "
                f"`{ATTRIBUTES_FILE}` is. Found `{own}`. Take both lists from the same copy."
            )
        splits[row] = CODES[code[0]]
    return splits


def _lines(path: Path, content: str) -> list[str]:
    """The lines of a file that are not empty."""
    try:
        return [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise DataError(
            f"`celeba` needs `{ATTRIBUTES_FILE}`, `{SPLITS_FILE}` and `{PICTURES}/*.jpg` in one folder. "
            f"Found no `{path}` ({content}). {WHERE_FROM} Set data.root to the folder, or $MTLRUN_DATA "
            f"to the one that holds it as `celeba`. "
            f"For a small copy to try things with: mtlrun data celeba --miniature DIR."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"`{path}` should be a readable text file in UTF-8. Found: {error}. Check the file."
        ) from error


def _distinct(path: Path, names: Sequence[str], first_line: int) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        seen: set[str] = set()
        for row, name in enumerate(names):
            if name in seen:
                raise DataError(
                    f"Each picture should stand in `{path}` once. Found `{name}` again in line "
                    f"{row + first_line}. {WHERE_FROM}"
                )
            seen.add(name)
    return tuple(names)
