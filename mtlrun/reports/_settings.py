"""Settings of runs: which count, which differ, and how to name them."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

# They change where and how fast a run is, not what comes out of it: those of the engine's record,
# and those of caches.
WITHOUT_CONSEQUENCE = (
    "outputs", "store", "folder", "dry_run", "phase", "logger", "seed", "launcher", "experiment",
    "row", "setting", "miniature", "sweep",
    "trainer.device", "trainer.num_workers", "trainer.log_every", "trainer.checkpoint_every",
    "trainer.checkpoint_seconds", "data.root", "data.path", "data.cache", "data.cache_dir",
)  # fmt: skip
BUDGET = ("trainer.epochs", "trainer.steps_per_epoch", "trainer.eval_batches")
_SKIPPED = frozenset(WITHOUT_CONSEQUENCE)
ABSENT = "absent"
Settings = Mapping[str, str]


def settings_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The settings with consequence, by dotted path, as JSON.

    Args:
        config: Of a run, nested, resolved.
    """
    found: dict[str, str] = {}
    _put_flat(config, "", found)
    return found


def differing(settings: Sequence[Settings]) -> list[str]:
    """The paths whose values differ, in order of their first appearance.

    What a file was chosen for stands for its own settings: where `optimizer._target_` differs, a
    path below `optimizer` counts only if it differs between runs of the same target.
    """
    paths = list(dict.fromkeys(path for own in settings for path in own))
    changed = [path for path in paths if len({own.get(path, ABSENT) for own in settings}) > 1]
    targets = [path for path in changed if path.endswith("._target_")]
    return [path for path in changed if path in targets or not _is_implied(path, targets, settings)]


def named(path: str, value: str) -> tuple[str, str]:
    """A path and its JSON value as a user writes them: ("weighting", "uw"), ("method.beta", "0.1")."""
    if path.endswith("._target_") and value != ABSENT:
        module, _, name = json.loads(value).rpartition(".")
        own = module.startswith("mtlrun.")  # our files are called as they are chosen
        return path.removesuffix("._target_"), module.rpartition(".")[2] if own else name
    return path, value.strip('"')


def describe(settings: Settings, paths: Sequence[str]) -> str:
    """Some of the settings, as "weighting=uw solver.num_groups=3"."""
    pairs = [named(path, settings.get(path, ABSENT)) for path in paths]
    return " ".join(f"{name}={value}" for name, value in pairs)


def _is_implied(path: str, targets: Sequence[str], settings: Sequence[Settings]) -> bool:
    above = [t for t in targets if path.startswith(t.removesuffix("_target_"))]
    for target in above:
        by_target: dict[str, set[str]] = {}
        for own in settings:
            by_target.setdefault(own.get(target, ABSENT), set()).add(own.get(path, ABSENT))
        if all(len(values) == 1 for values in by_target.values()):
            return True
    return False


def _put_flat(value: Mapping[str, Any], prefix: str, found: dict[str, str]) -> None:
    for key, own in value.items():
        path = f"{prefix}{key}"
        if path in _SKIPPED:
            continue
        if isinstance(own, dict):
            _put_flat(own, f"{path}.", found)
        elif isinstance(own, list):
            found[path] = json.dumps(own, sort_keys=True)
        else:
            found[path] = _scalar(own)


@lru_cache(maxsize=4096, typed=True)
def _scalar(value: Any) -> str:
    return json.dumps(value)
