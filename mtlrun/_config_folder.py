"""The name of a run's folder: what was set, in words that a file system takes."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

# Named by the folders around it, or without effect on results.
UNNAMED = (
    "data", "method", "seed", "phase", "outputs", "store", "dry_run", "folder", "logger",
    "data.root", "trainer.device", "trainer.num_workers", "trainer.log_every",
    "trainer.checkpoint_every", "trainer.checkpoint_seconds",
)  # fmt: skip
MAX_LENGTH = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9._=+-]+")


def folder_name(
    config: Mapping[str, Any],
    changed: Mapping[str, str],
    keys: Iterable[str],
    *,
    before: Mapping[str, Any],
) -> str:
    """What differs from the defaults of the data and method, as "backbone=mlp,solver.num_groups=3".

    Where words had to be changed for the file system, or cut, a hash of them makes the name unique.

    Args:
        config: Resolved.
        changed: Files chosen other than by default, by group.
        keys: Whose values were set.
        before: The resolved configuration without those values.
    """
    parts = [(group, option) for group, option in changed.items()]
    parts += [(k, _at(config, k)) for k in dict.fromkeys(keys) if _at(config, k) != _at(before, k)]
    parts = sorted((k, _show(v)) for k, v in parts if k not in UNNAMED and k[:7] != "logger.")
    full = [f"{key}={text}" for key, text in parts]
    safe = [f"{key}={_safe(text)}" for key, text in parts]
    name = ",".join(safe)
    if safe == full and len(name) <= MAX_LENGTH:
        return name or "default"
    digest = hashlib.sha256(json.dumps(full).encode()).hexdigest()[:8]
    return f"{name[: MAX_LENGTH - 9].rstrip(',-')}-{digest}"


def _at(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _show(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _safe(text: str) -> str:
    if _UNSAFE.search(text):
        return _UNSAFE.sub("-", text.rstrip("/").rpartition("/")[2]).strip("-")
    return text
