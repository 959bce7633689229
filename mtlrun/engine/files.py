"""Files that are whole or not there."""

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mtlrun.core.data import DataError


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under another name, and gives it its own when it is on the disk.

    Whatever happens meanwhile (a kill, a full disk), `path` holds the old content or the new.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes plain values, whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """The plain values of a file.

    Raises:
        DataError: If it does not hold JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} should hold JSON. Found: {error}. Delete the file and run again."
        ) from error


def write_tensors(path: Path, state: Mapping[str, Any]) -> None:
    """Writes tensors and plain values, whole or not at all; torch.load(weights_only=True) reads it."""
    write_whole(path, lambda partial: torch.save(dict(state), partial))


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
