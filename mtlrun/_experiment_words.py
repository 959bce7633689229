"""Command lines that name a table: what they stand for, and the runs of its sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtlrun._config_check import ConfigError
from mtlrun._experiment import Table, key_of, read_table, stack

SELECTORS = ("row", "setting", "miniature")
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Unfolded:
    """A command line with the words of its row.

    Attributes:
        words: All, for Hydra.
        given: What the command line itself set, by key.
        row: The words of its row.
    """

    words: tuple[str, ...]
    given: frozenset[str]
    row: tuple[str, ...] = ()


def unfold(words: Sequence[str], conf: Path) -> Unfolded:
    """The words of one run, those of its row in a table included.

    Raises:
        ConfigError: If the experiment is a table and no row of it is named, or the other way round.
    """
    given = frozenset(map(key_of, words))
    selected, others = _split(words)
    table = _table(others, conf)
    if table is None:
        if named := [key for key in SELECTORS if key in selected]:
            raise ConfigError(
                [f"`{key}=` should be with an experiment that is a table." for key in named]
            )
        return Unfolded(tuple(words), given)
    if "row" not in selected:
        raise ConfigError([_explain(table)])
    row, setting = unquoted(selected["row"]), selected.get("setting")
    setting = None if setting in (None, "null") else unquoted(setting)
    miniature = _truth(selected.get("miniature", "false"))
    own = table.words(row, setting, miniature=miniature)
    marks = [f"row={quoted(row)}", f"miniature={str(miniature).lower()}"]
    marks += [] if setting is None else [f"setting={quoted(setting)}"]
    return Unfolded((*stack([own, others]), *marks), given, tuple(own))


def expand_table(words: Sequence[str], conf: Path) -> list[list[str]]:
    """The command lines of a table's runs; the one given where it names no table.

    Args:
        words: Of one run of a sweep, where `row` and `setting` may name several, with commas.
        conf: Folder of configuration files.

    Raises:
        ConfigError: If it asks for what the table lacks.
    """
    selected, others = _split(words)
    table = _table(others, conf)
    if table is None:
        return [list(words)]
    rows = _several(selected.get("row"), table.rows)
    settings = _several(selected.get("setting"), table.settings)
    miniature = _truth(selected.get("miniature", "false"))
    has_seed = any(key_of(word) == "seed" for word in others)
    runs = table.runs(rows, settings, miniature=miniature)
    lines = [
        [
            *others,
            f"row={cell.row}",
            *([] if cell.setting is None else [f"setting={cell.setting}"]),
            *(["miniature=true"] if miniature else []),
            *([] if has_seed else [f"seed={seed}"]),
        ]
        for seed, cell in runs
    ]
    return list(map(list, dict.fromkeys(map(tuple, lines))))


def split_selectors(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that select of a table, and the others."""
    own = [word for word in words if key_of(word) in SELECTORS]
    return own, [word for word in words if key_of(word) not in SELECTORS]


def quoted(text: str) -> str:
    """A text as a value of Hydra's grammar."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def unquoted(text: str) -> str:
    """A value without the quotes around it."""
    has_quotes = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if has_quotes else text


def _split(words: Sequence[str]) -> tuple[Mapping[str, str], list[str]]:
    own, others = split_selectors(words)
    return {key_of(word): word.partition("=")[2] for word in own}, others


def _table(words: Sequence[str], conf: Path) -> Table | None:
    names = [word.partition("=")[2] for word in words if key_of(word) == "experiment"]
    return read_table(names[-1], conf) if names else None


def _several(text: str | None, known: Sequence[str]) -> list[str] | None:
    if text is None:
        return None
    if unquoted(text) in known:
        return [unquoted(text)]
    return [unquoted(name.strip()) for name in text.split(",")]


def _truth(text: str) -> bool:
    if text.lower() not in TRUE + FALSE:
        raise ConfigError([f"`miniature` should be true or false. Found `miniature={text}`."])
    return text.lower() in TRUE


def _explain(table: Table) -> str:
    num_runs = len(table.cells) * len(table.seeds)
    which = f"row=NAME, one of: {'; '.join(table.rows)}"
    if table.settings:
        which += f"; setting=NAME, one of: {'; '.join(table.settings)}"
    return (
        f"`experiment={table.name}` is a table of {num_runs} runs. Run all of them with "
        f"`mtlrun -m experiment={table.name}`, in seconds each with miniature=true beside it, or one "
        f"by adding {which}."
    )
