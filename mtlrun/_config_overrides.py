"""The words of a command line: their syntax, their keys, and the runs of a sweep."""

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from mtlrun._catalogue import did_you_mean, options

# A value with an equals sign as in the names of runs' folders, which Hydra reads in quotes only.
_UNQUOTED = re.compile(r"[\w./+~-]+=[\w./+~,=-]*")
OPTIONAL = ("recipe", "experiment")  # groups of which no file need be chosen


@dataclass(frozen=True)
class Choice:
    """A file chosen for a group; None for no file."""

    group: str
    option: str | None

    @property
    def words(self) -> list[str]:
        """On a command line; nothing where no file is chosen, as that is the default."""
        return [] if self.option is None else [f"{self.group}={self.option}"]


@dataclass(frozen=True)
class Value:
    """A value for a key: the key with its dots, and the words as they were given."""

    key: str
    words: str
    adds: bool


def parse(
    words: Sequence[str], groups: Collection[str], conf: Path, problems: list[str]
) -> tuple[dict[str, Choice], list[Value]]:
    """Sorts a command line into chosen files, by group, and values; extends `problems`.

    Values of a group whose file does not exist are left out: nothing can be said about them.
    """
    choices: dict[str, Choice] = {}
    values: list[Value] = []
    unknown = set()
    for word in words:
        override = _parse_word(word, problems)
        if override is None:
            continue
        key = str(override.key_or_group)
        if override.is_sweep_override():
            problems.append(
                f"`{word}` names several values, which is a sweep. Add -m for one run each; a list "
                f"as one value is written {key}=[a,b], a text with a comma {key}=\"'a,b'\"."
            )
        elif key not in groups or override.is_delete():
            read = str(override.input_line)
            values.append(Value(key, read, adds=override.is_add() or override.is_force_add()))
        elif (choice := _choose(key, override.value(), conf, problems)) is None:
            unknown.add(key)
        elif choices.setdefault(key, choice) != choice:
            problems.append(f"`{key}` should be chosen once. Found `{word}` beside another choice.")
    return choices, [value for value in values if value.key.split(".")[0] not in unknown]


def check_key(value: Value, config: Mapping[str, Any], groups: Collection[str]) -> str | None:
    """What is wrong with a value's key in a configuration; None if nothing is."""
    if value.key.split(".")[0] == "sweep":
        return (
            f"`sweep` should be set by an experiment's file alone. Found `{value.words}`. Choose rows with "
            f"row=, or write a file of your own in conf/experiment."
        )
    if value.adds:
        return None  # the check of the whole configuration compares it with the constructor
    node: Any = config
    parts = value.key.split(".")
    for depth, part in enumerate(parts):
        if isinstance(node, Mapping) and part in node:
            node = node[part]
            continue
        place = ".".join([*parts[:depth], "{}"])
        known = [k for k in node if k != "_target_"] if isinstance(node, Mapping) else []
        near = did_you_mean(part, {*known, *groups} if depth == 0 else known, place)
        listed = f" Known here: {', '.join(sorted(known)) or 'nothing'}." if depth else ""
        hint = "" if near or depth else " See `mtlrun config` for all settings."
        return f"`{value.key}` is no setting.{near}{listed}{hint}"
    return None


def expand(words: Sequence[str], config_loader: Any) -> list[list[str]]:
    """The command lines of a sweep, the last swept key turning fastest.

    Args:
        words: Where a key names several values, as `a,b`, `range(1,4)`, `choice(a,b)` or `glob(*)`.
        config_loader: Hydra's, which knows the files of a group for `glob`.
    """
    parser = OverridesParser.create(config_loader=config_loader)
    axes: list[list[str]] = []
    for word in words:
        try:
            override = parser.parse_overrides([word])[0]
            sweeps = override.is_discrete_sweep()
            found = list(override.sweep_string_iterator()) if sweeps else []
        except HydraException:
            axes.append([word])  # reported with everything else when the run is composed
            continue
        prefix = "+" if override.is_add() else "++" if override.is_force_add() else ""
        key = f"{prefix}{override.get_key_element().lstrip('+')}"
        axes.append([f"{key}={value}" for value in found] if sweeps else [word])
    return [list(run) for run in itertools.product(*axes)]


def _parse_word(word: str, problems: list[str]) -> Override | None:
    parser = OverridesParser.create()
    key, _, text = word.partition("=")
    try:
        return parser.parse_override(word)
    except HydraException as error:
        if _UNQUOTED.fullmatch(text):
            return parser.parse_override(f"{key}='{text}'")
        reason = str(error).splitlines()[0]
        problems.append(
            f"`{word}` cannot be read ({reason}). Quote special characters: {key}=\"'{text}'\"."
        )
        return None


def _choose(group: str, option: Any, conf: Path, problems: list[str]) -> Choice | None:
    if group in OPTIONAL and option in (None, "none"):
        return Choice(group, None)
    known = options(group, conf)
    if option in known:
        return Choice(group, str(option))
    near = did_you_mean(str(option), known, f"{group}={{}}")
    shown = "null" if option is None else option
    problems.append(
        f"`{group}={shown}` does not exist.{near} Options: {', '.join(known) or 'none yet'}."
    )
    return None
