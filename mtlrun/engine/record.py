"""A run's folder."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml

import mtlrun
from mtlrun.core.data import DataError
from mtlrun.core.grouping import Group
from mtlrun.engine.files import link_or_copy, read_json, write_json, write_text

MAX_LENGTH = 100  # of the name of a file of weights

# Settings that change where and how fast a run is, not what comes out of it.
_WITHOUT_CONSEQUENCE = (
    "outputs", "store", "folder", "dry_run", "phase", "logger",
    "trainer.device", "trainer.num_workers", "trainer.log_every", "trainer.checkpoint_every",
    "trainer.checkpoint_seconds", "data.root", "data.path", "row", "setting", "miniature",
)  # fmt: skip


class RunRecord:
    """Writes and reads a run's folder; `result.json`, written last, means done.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def result(self) -> Path:
        """Written last."""
        return self.folder / "result.json"

    def open(self, config: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        """Makes the folder and notes configuration, data and environment in it, if it is not done.

        Args:
            config: Resolved.
            data: `DataSource.identity`: tells when files have changed under the same name.

        Raises:
            ValueError: If the folder holds a run of other settings; they are named.
            DataError: If a file of the folder is damaged.
        """
        differing = []
        config_path, data_path = self.folder / "config.yaml", self.folder / "data.json"
        if config_path.exists():
            differing += differences(_read_yaml(config_path), config)
        if data_path.exists():
            differing += differences(read_json(data_path), json.loads(json.dumps(data)))
        if differing:
            raise ValueError(
                f"The folder {self.folder} should be of a run with these settings. Found one "
                f"that differs in {'; '.join(differing)}. Set folder=ANOTHER, or delete it."
            )
        if self.result.exists():  # made in the environment that is noted
            return
        write_text(config_path, yaml.safe_dump(dict(config), sort_keys=False))
        write_json(data_path, data)
        write_json(self.folder / "environment.json", environment())

    def finished(self) -> dict[str, Any] | None:
        """The result, if the run is done."""
        if not self.result.exists():
            return None
        return read_json(self.result, keys=("config", "tasks", "scores", "trainings"))

    def weights(self, group: Group) -> Path:
        """The file of a group's weights, named by its tasks, or as many as fit and a hash of all."""
        name = "+".join(group.tasks)
        if len(name) > MAX_LENGTH:
            name = f"{name[: MAX_LENGTH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        return self.folder / "checkpoints" / f"{name}.pt"

    def keep_weights(self, group: Group, weights: Path) -> None:
        """Makes a training's weights available under `checkpoints/`; a hard link where possible."""
        link_or_copy(weights, self.weights(group))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The settings with consequence that differ, as "path: old value, now new value"."""
    before, after = dict(_flat(old)), dict(_flat(new))
    keys = [k for k in {**before, **after} if not _is_without_consequence(k)]
    return [
        f"{key}: {before.get(key, 'absent')}, now {after.get(key, 'absent')}"
        for key in sorted(keys)
        if before.get(key, "absent") != after.get(key, "absent")
    ]


def environment() -> dict[str, Any]:
    """Versions, machine and commit."""
    packages = ("torch", "torchvision", "numpy", "hydra-core", "ortools", "torchmetrics", "timm")
    found = {name: _version(name) for name in packages}
    return {
        "mtlrun": mtlrun.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "packages": found,
    }


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"a {type(found).__name__}")
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(
            f"{path} should hold YAML. Found: {error}. Delete the run's folder."
        ) from error
    return found


def _is_without_consequence(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in _WITHOUT_CONSEQUENCE)


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, own in value.items():
        path = f"{prefix}{key}"
        if isinstance(own, Mapping):
            yield from _flat(own, f"{path}.")
        else:
            yield path, own


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    source = Path(mtlrun.__file__).parent
    if not (source.parent / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(source), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
