"""The configuration with and without each layer: recipe, experiment, words of a command line."""

import contextlib
import copy
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf, open_dict

from mtlrun import _config_overrides as overrides_of
from mtlrun._catalogue import options
from mtlrun._config_overrides import Choice, Value
from mtlrun._experiment import stack
from mtlrun._experiment_words import Unfolded

NAMED = ("data", "method")  # the groups that recipes belong to


@dataclass(frozen=True)
class Layers:
    """What a command line chose and set, to be loaded with and without a layer.

    Attributes:
        groups: Of files, in the order of the defaults list.
        chosen: By the command line, by group.
        own_recipe: The file that belongs to the data and method, else to the data; None if there
            is none.
        automatic_recipe: The same, None if another recipe or none was chosen.
        values: Set by the command line.
    """

    groups: tuple[str, ...]
    chosen: Mapping[str, Choice]
    own_recipe: str | None
    automatic_recipe: str | None
    values: tuple[Value, ...]

    @classmethod
    def of(cls, words: Sequence[str], conf: Path, problems: list[str]) -> "Layers":
        """The layers of a command line; extends `problems` by what cannot be read."""
        groups = groups_of(conf)
        chosen, values = overrides_of.parse(words, groups, conf, problems)
        first = cls(groups, chosen, None, None, tuple(values))
        found = first.choices()
        names = (f"{found['data']}_{found['method']}", found["data"])
        recipe = next((name for name in names if name in options("recipe", conf)), None)
        automatic = None if "recipe" in chosen or "recipe" in found else recipe
        return replace(first, own_recipe=recipe, automatic_recipe=automatic)

    def load(self, *, values: bool = True) -> dict[str, Any]:
        """The configuration, not resolved."""
        words = [v.words for v in self.values] if values else []
        config, choices = _load([*self._choose(), *words]), self.choices()
        kept = [f"{group}={choices[group]}" for group in NAMED]
        both = "recipe" in choices and "experiment" in choices
        for group in self._free_groups():
            final = choices.get(group)
            mine = [v.words for v in self.values if v.key.split(".")[0] == group and values]
            if final != self.choices(without=(group,)).get(group):
                config[group] = _load([*kept, *self.chosen[group].words, *mine])[group]
            elif both and final != self.choices(without=(group, "experiment")).get(group):
                rest = [w for w in self._choose() if not w.startswith("recipe=")]
                config[group] = _load([*rest, *mine])[group]
        return config

    def choices(self, *, without: tuple[str, ...] = ()) -> dict[str, str]:
        """The chosen file of every group, as if some groups had not been chosen by words."""
        found = _choices(self._choose(without))
        return {group: found[group] for group in self.groups if group in found}

    def changed(self) -> dict[str, str]:
        """The groups, data and method apart, whose file is another than without the words."""
        changed = {}
        for group, choice in self.chosen.items():
            if group in NAMED:
                continue
            default = self.own_recipe if group == "recipe" else None
            if group not in overrides_of.OPTIONAL:
                default = self.choices(without=(group,)).get(group)
            if choice.option != default:
                changed[group] = choice.option or "none"
        return changed

    def _choose(self, without: tuple[str, ...] = ()) -> list[str]:
        words = [w for g, choice in self.chosen.items() if g not in without for w in choice.words]
        if "experiment" in without and self.chosen.get("experiment"):
            found = self.choices()
            words += [f"{g}={found[g]}" for g in NAMED if g not in self.chosen]
        return words + Choice("recipe", self.automatic_recipe).words

    def _free_groups(self) -> list[str]:
        return [g for g in self.groups if g not in (*NAMED, *overrides_of.OPTIONAL)]


@contextlib.contextmanager
def session(conf: Path) -> Iterator[Any]:
    """Hydra's configuration loader for a folder; in this block layers can be loaded.

    Such a block in another of the same folder shares what that has loaded. Hydra 1.4 warns of the
    `version_base` that 1.3 asks for.
    """
    if GlobalHydra.instance().is_initialized():
        yield GlobalHydra.instance().config_loader()
        return
    minor = tuple(int(part) for part in hydra.__version__.split(".")[:2])
    base = {"version_base": "1.3"} if minor < (1, 4) else {}
    _composed.cache_clear()
    with hydra.initialize_config_dir(config_dir=str(conf.resolve()), job_name="mtlrun", **base):
        yield GlobalHydra.instance().config_loader()


def without_own(
    layers: Layers, unfolded: Unfolded, base: Mapping[str, Any], conf: Path
) -> tuple[dict[str, str], Mapping[str, Any]]:
    """What the name of a folder tells: the files that were chosen, and what set values change.

    Args:
        layers: Of the command line.
        unfolded: The same with the words of its row; what those chose and set is left out.
        base: The configuration without any values.
        conf: Folder of configuration files.
    """
    if not unfolded.row:
        return layers.changed(), base
    of_row = Layers.of(unfolded.row, conf, []).chosen
    given = {group: own for group, own in layers.chosen.items() if group in unfolded.given}
    changed = {g: o for g, o in layers.changed().items() if g in given and g not in of_row}
    changed |= {
        group: own.option or "none"
        for group, own in given.items()
        if group in of_row and group not in NAMED and own != of_row[group]
    }
    chosen = [word for own in given.values() for word in own.words]
    return changed, Layers.of(stack([unfolded.row, chosen]), conf, []).load()


def _load(words: Sequence[str]) -> dict[str, Any]:
    return copy.deepcopy(_composed(tuple(words))[0])


def _choices(words: Sequence[str]) -> dict[str, str]:
    return _composed(tuple(words))[1]


@functools.cache
def _composed(words: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """The unresolved configuration and the chosen files of a command line."""
    config = hydra.compose("config", overrides=list(words), return_hydra_config=True)
    found = OmegaConf.to_container(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
        config.pop("sweep", None)  # an experiment's table, read from its file
    loaded = OmegaConf.to_container(config, resolve=False)
    assert isinstance(found, dict)
    assert isinstance(loaded, dict)
    choices = {str(g): str(o) for g, o in found.items() if "/" not in str(g) and o is not None}
    return {str(key): value for key, value in loaded.items()}, choices


def groups_of(conf: Path) -> tuple[str, ...]:
    """The groups of conf/config.yaml's defaults list, in its order."""
    loaded = OmegaConf.to_container(OmegaConf.load(conf / "config.yaml"))
    assert isinstance(loaded, dict)
    return tuple(g for entry in loaded["defaults"] if isinstance(entry, dict) for g in entry)
