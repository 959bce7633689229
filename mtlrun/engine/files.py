"""What a run writes and reads: logs, JSON, tensors."""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mtlrun.core.data import DataError
from mtlrun.core.files import naming, partial_of, write_whole


def link_or_copy(source: Path, path: Path) -> None:
    """Gives a file another name, by a hard link where the file system can; whole or not at all."""
    partial = partial_of(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        try:
            try:
                os.link(source, partial)
            except OSError:  # another file system, or one without links
                shutil.copyfile(source, partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)  # it stays where both names are links to one file


def append_line(path: Path, text: str) -> None:
    """Adds a line to a log.

    Raises:
        OSError: If it cannot be written; it names `path`.
    """
    with naming(path), path.open("a", encoding="utf-8") as log:
        log.write(text + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes plain values, whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path, *, keys: Sequence[str] = ()) -> dict[str, Any]:
    """The plain values of a file, by name.

    Args:
        path: Of the file.
        keys: Names that it has.

    Raises:
        DataError: If it does not hold JSON, or not these names.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"a {type(found).__name__}")
        if missing := [key for key in keys if key not in found]:
            raise ValueError(f"nothing under {', '.join(missing)}")
    except ValueError as error:
        raise DataError(
            f"{path} should hold JSON as it was written. Found: {error}. Delete the file and run "
            f"again."
        ) from error
    return found


def write_tensors(path: Path, state: Mapping[str, Any]) -> None:
    """Writes tensors and plain values, whole or not at all; torch.load(weights_only=True) reads it."""
    content = io.BytesIO()  # writing to a full disk, torch would tell of positions only
    torch.save(dict(state), content)
    # Not getbuffer: where writing fails the traceback keeps that view, and Python 3.12 may crash as the
    # buffer below it goes.
    write_whole(path, lambda partial: partial.write_bytes(content.getvalue()))


def read_tensors(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The tensors and plain values of a file.

    Raises:
        DataError: If the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise RuntimeError(f"the checksum of {damaged} is wrong")
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (zipfile.BadZipFile, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise DataError(
            f"{path} should be a whole file of tensors. Found it damaged: {error}. "
            f"Delete it and run again: that training then starts anew, all others are kept."
        ) from error
    return state
