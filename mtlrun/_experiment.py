"""Experiments that are tables: rows, settings and seeds, in the block `sweep` of a conf/experiment file.

    # @package _global_
    # What the table is. [paper, table]
    sweep:
      seeds: [0, 1, 2]              # of every cell
      common: data=nyuv2            # words of every run, as on a command line; may be left out
      rows:                         # the words of a row, by the name that the paper prints
        STL: method=single_task
        HPS: method=hps trainer.batch_size=8
      settings:                     # every row in each of them; may be left out
        n_groups=2: solver.num_groups=2
      miniature: data=scenes trainer=smoke   # words of every run with miniature=true
      miniature_seeds: [0]          # the first of `seeds` where left out

Instead of `rows` and `settings`, `parts` may be a list of such pairs, each with words of its own in
`common` if need be: for rows that not all settings have. Names of settings are those of the
papers' numbers. A stronger word replaces a weaker one of the same key, and a file that it chooses
for a group drops what weaker words set in that group. From weak to strong: common, that of the
part, setting, row, miniature, the command line.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mtlrun._catalogue import did_you_mean
from mtlrun._config_check import ConfigError

TOP_KEYS = (
    "seeds", "common", "rows", "settings", "parts", "miniature", "miniature_seeds",
)  # fmt: skip
PART_KEYS = ("rows", "settings", "common")


@dataclass(frozen=True)
class Cell:
    """A row in a setting: the words of its runs.

    Attributes:
        row: As the paper prints it.
        setting: Of the row; None where the table has none.
        words: Of its runs.
    """

    row: str
    setting: str | None
    words: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """What an experiment's file says in `sweep`.

    Attributes:
        name: Of the file.
        seeds: Of every cell.
        cells: In the file's order.
        miniature: Words that make it small; None where there is no miniature.
        miniature_seeds: Of every cell then.
    """

    name: str
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    miniature: tuple[str, ...] | None = None
    miniature_seeds: tuple[int, ...] = field(default=(0,))

    @property
    def rows(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(dict.fromkeys(cell.row for cell in self.cells))

    @property
    def settings(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(dict.fromkeys(c.setting for c in self.cells if c.setting is not None))

    def runs(
        self, rows: Sequence[str] | None, settings: Sequence[str] | None, *, miniature: bool
    ) -> list[tuple[int, Cell]]:
        """Seeds and cells, a whole table for a seed first.

        Raises:
            ConfigError: If there is nothing of that name.
        """
        problems = _unknown("row", rows or (), self.rows, self.name)
        problems += _unknown("setting", settings or (), self.settings, self.name)
        if problems:
            raise ConfigError(problems)
        found = [
            cell
            for cell in self.cells
            if (rows is None or cell.row in rows) and (settings is None or cell.setting in settings)
        ]
        if not found:
            raise ConfigError(
                [f"`experiment={self.name}` should have such a row in such a setting. Found none."]
            )
        seeds = self.miniature_seeds if miniature else self.seeds
        return [(seed, cell) for seed in seeds for cell in found]

    def words(self, row: str, setting: str | None, *, miniature: bool) -> list[str]:
        """The words of a cell.

        Raises:
            ConfigError: If there is none, or several.
        """
        own = None if setting is None else [setting]
        cells = [cell for _, cell in self.runs([row], own, miniature=True)]
        cells = list(dict.fromkeys(cells))
        if len(cells) > 1:
            names = ", ".join(str(cell.setting) for cell in cells)
            raise ConfigError(
                [f"`row={row}` should be with a setting. Set setting= to one of: {names}."]
            )
        if miniature and self.miniature is None:
            raise ConfigError([f"`experiment={self.name}` has no miniature. Remove miniature."])
        return stack([cells[0].words, self.miniature if miniature and self.miniature else ()])


def read_table(name: str, conf: Path) -> Table | None:
    """The table that an experiment's file holds; None if it holds none.

    Raises:
        ConfigError: With everything that is wrong in `sweep`.
    """
    file = conf / "experiment" / f"{name}.yaml"
    if not file.is_file():
        return None  # reported when the file is chosen
    loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(loaded, dict) or "sweep" not in loaded:
        return None
    problems: list[str] = []
    table = _read(loaded["sweep"], name, problems)
    if problems or table is None:
        raise ConfigError([f"{file}: {problem}" for problem in problems])
    return table


def stack(layers: Iterable[Sequence[str]]) -> list[str]:
    """The words that hold where layers of words are put on each other, the strongest last."""
    found: list[str] = []
    for layer in layers:
        chosen = {key_of(word): word for word in layer}
        found = [word for word in found if not _is_replaced(word, found, chosen)]
        found += layer
    return found


def beside(setting: Sequence[str], row: Sequence[str]) -> list[str]:
    """One layer of a setting's and a row's words; the row wins where both set the same.

    A setting may hold `method.beta=0.1` where only the row says which method.
    """
    own = {key_of(word) for word in row}
    return [*(word for word in setting if key_of(word) not in own), *row]


def key_of(word: str) -> str:
    """What a word of a command line sets."""
    return word.partition("=")[0].lstrip("+~")


def _is_replaced(word: str, among: Sequence[str], chosen: Mapping[str, str]) -> bool:
    key = key_of(word)
    group = key.partition(".")[0]
    own_file_stays = chosen.get(group) in among
    return key in chosen or (group in chosen and group != key and not own_file_stays)


def _read(node: Any, name: str, problems: list[str]) -> Table | None:
    if not isinstance(node, dict):
        problems.append(f"`sweep` should be a mapping. Found {node!r}.")
        return None
    _check_keys(node, TOP_KEYS, "sweep", problems)
    if ("rows" in node) == ("parts" in node) or ("settings" in node and "parts" in node):
        problems.append(
            "`sweep` should have either `rows`, with `settings` or without, or `parts`."
        )
        return None
    parts = node["parts"] if "parts" in node else [{k: node[k] for k in PART_KEYS[:2] if k in node}]
    if not isinstance(parts, list) or not parts:
        problems.append(f"`sweep.parts` should be a list. Found {parts!r}.")
        return None
    common = _words(node.get("common", ""), "sweep.common", problems)
    cells: list[Cell] = []
    for number, part in enumerate(parts):
        path = f"sweep.parts.{number}" if "parts" in node else "sweep"
        cells += _cells(part, path, common, problems)
    names = [(cell.row, cell.setting) for cell in cells]
    problems += [
        f"`{row}` should stand once in a setting. Found it twice{f' in {where}' if where else ''}."
        for row, where in dict.fromkeys(name for name in names if names.count(name) > 1)
    ]
    seeds = _seeds(node.get("seeds"), "sweep.seeds", problems)
    small = node.get("miniature")
    return Table(
        name,
        seeds,
        tuple(cells),
        None if small is None else tuple(_words(small, "sweep.miniature", problems)),
        _seeds(node.get("miniature_seeds", list(seeds[:1])), "sweep.miniature_seeds", problems),
    )


def _cells(part: Any, path: str, common: Sequence[str], problems: list[str]) -> list[Cell]:
    if not isinstance(part, dict) or not isinstance(part.get("rows"), dict):
        problems.append(f"`{path}` should have `rows`: words by the row's name. Found {part!r}.")
        return []
    _check_keys(part, PART_KEYS, path, problems)
    settings = part.get("settings", {None: ""})
    if not isinstance(settings, dict) or not settings:
        problems.append(f"`{path}.settings` should be words by the setting's name.")
        return []
    own = _words(part.get("common", ""), f"{path}.common", problems)
    return [
        Cell(
            str(row),
            None if setting is None else str(setting),
            tuple(
                stack(
                    [
                        common,
                        own,
                        beside(
                            _words(shared, f"{path}.settings.{setting}", problems),
                            _words(words, f"{path}.rows.{row}", problems),
                        ),
                    ]
                )
            ),
        )
        for setting, shared in settings.items()
        for row, words in part["rows"].items()
    ]


def _words(text: Any, path: str, problems: list[str]) -> list[str]:
    try:
        words = shlex.split(text or "") if text is None or isinstance(text, str) else None
    except ValueError:
        words = None
    if words is None or any("=" not in word for word in words):
        problems.append(f"`{path}` should be words KEY=VALUE in one text. Found {text!r}.")
        return []
    return words


def _seeds(found: Any, path: str, problems: list[str]) -> tuple[int, ...]:
    good = isinstance(found, list) and found and all(type(seed) is int for seed in found)
    if not good or len(set(found)) < len(found):
        problems.append(f"`{path}` should be a list of whole numbers, each once. Found {found!r}.")
        return (0,)
    return tuple(found)


def _check_keys(
    node: Mapping[str, Any], known: Sequence[str], path: str, problems: list[str]
) -> None:
    problems += [
        f"`{path}.{key}` is no key.{did_you_mean(str(key), known)} Keys: {', '.join(known)}."
        for key in node
        if key not in known
    ]


def _unknown(kind: str, names: Sequence[str], known: Sequence[str], experiment: str) -> list[str]:
    return [
        f"`{kind}={name}` is not in experiment={experiment}."
        f"{did_you_mean(name, known, kind + '={}')} There: {'; '.join(known) or 'none'}."
        for name in names
        if name not in known
    ]
