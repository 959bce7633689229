"""Finds finished runs in folders. Needs no torch."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mtlrun.reports._settings import settings_of

FORMAT = 1
KINDS: Mapping[str, type | tuple[type, ...]] = {
    "data": str, "method": str, "backbone": str, "seed": int, "config": dict, "tasks": list,
    "plan": dict, "trainings": list, "seconds": dict, "select_on": str,
}  # fmt: skip
SCORED: Mapping[str, type] = {"scores": dict, "served_by": dict}
TRAINING = ("tasks", "phase", "num_steps", "num_parameters", "seconds", "learned")


class NoRunsError(Exception):
    """There is nothing to report on."""


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        folder: Where its files are now.
        result: The content of result.json.
        data_identity: The content of data.json, which tells files that changed under the same
            settings; empty where there is none.
    """

    folder: Path
    result: Mapping[str, Any]
    data_identity: str

    @property
    def seed(self) -> int:
        """Of every stream of random draws."""
        return int(self.result["seed"])

    @property
    def method(self) -> str:
        """As chosen on the command line."""
        return str(self.result["method"])

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """Those with consequence, by dotted path, as JSON; with the files started from and the version."""
        own = settings_of(self.result["config"])
        for name, digest in (self.result.get("given") or {}).items():
            if digest:
                own[f"{name}.sha256"] = json.dumps(digest[:8])
        version = (self.result.get("versions") or {}).get("mtlrun")
        return own | {"mtlrun": json.dumps(version)}


@dataclass(frozen=True)
class Collection:
    """What folders hold.

    Attributes:
        runs: Finished and scored, ordered by folder.
        planned: Finished without phase 2: no scores.
        unfinished: Folders of runs that have no result yet.
        skipped: Files that cannot be counted, and why.
    """

    runs: tuple[Run, ...]
    planned: tuple[Run, ...]
    unfinished: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]

    def remarks(self) -> list[str]:
        """What is left out, a line each."""
        lines = [f"left out {path}: {reason}" for path, reason in self.skipped]
        for folder in self.unfinished:
            failed = (folder / "error.log").is_file()
            state = f"failed, see {folder / 'error.log'}" if failed else "not finished"
            lines.append(f"left out {folder}: {state}")
        lines += [
            f"left out {run.folder}: collected and planned only, no scores" for run in self.planned
        ]
        return lines


def collect(folders: Sequence[Path]) -> Collection:
    """All runs below folders; the same folder is counted once.

    Raises:
        ValueError: If one of the folders is none.
        NoRunsError: If there is no finished run below any of them.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(
                f"`mtlrun report` should be given folders of runs. Found `{folder}`, which is "
                f"{'a file' if folder.exists() else 'not there'}."
            )
    runs: list[Run] = []
    planned: list[Run] = []
    unfinished: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    for folder in _run_folders(folders):
        path = folder / "result.json"
        if not path.is_file():
            unfinished.append(folder)
            continue
        found = _read(path)
        if isinstance(found, str):
            skipped.append((path, found))
        elif found is not None:
            own = Run(folder, found, _identity(folder))
            (runs if "scores" in found else planned).append(own)
    collection = Collection(tuple(runs), tuple(planned), tuple(unfinished), tuple(skipped))
    if not runs and not planned:
        where = ", ".join(str(folder) for folder in folders)
        left_out = "".join(f"\n  - {line}" for line in collection.remarks())
        raise NoRunsError(
            f"There should be finished runs (folders with result.json) below {where}. Found "
            f"none.{left_out or ' `mtlrun method=hps trainer=smoke` makes one in seconds.'}"
        )
    return collection


def _run_folders(folders: Iterable[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for top in folders:
        for path, below, files in os.walk(top):
            below.sort()
            if "result.json" not in files and "config.yaml" not in files:
                continue
            below.clear()  # a run holds no runs
            folder = Path(path)
            if (own := folder.resolve()) not in seen:
                seen.add(own)
                yield folder


def _read(path: Path) -> dict[str, Any] | str | None:
    """The content, or what is wrong with it; None for a training of the store, which is no run."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        return f"it should hold JSON, and is cut off or damaged ({error})"
    if not isinstance(found, dict):
        return f"it should hold an object, and holds a {type(found).__name__}"
    if "key" in found and "method" not in found:
        return None
    return _fault(found) or found


def _fault(found: Mapping[str, Any]) -> str | None:
    if found.get("format") != FORMAT:
        return f"its format is {found.get('format')!r}, and this version reads {FORMAT}"
    kinds = {**KINDS, **(SCORED if "scores" in found else {})}
    wrong = [name for name, kind in kinds.items() if not isinstance(found.get(name), kind)]
    if wrong:
        return f"{', '.join(wrong)} should be there, and is missing or of another kind"
    if any(name not in own for own in found["trainings"] for name in TRAINING):
        return f"each of its trainings should have {', '.join(TRAINING)}"
    if any({"name", "metrics", "directions"} - set(task) for task in found["tasks"]):
        return "each of its tasks should have name, metrics, directions"
    return None


def _identity(folder: Path) -> str:
    try:
        return json.dumps(json.loads((folder / "data.json").read_bytes()), sort_keys=True)
    except (OSError, ValueError):
        return ""
