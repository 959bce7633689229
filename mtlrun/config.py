"""Composes a run's configuration, checks it against the constructors, and builds from it."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from mtlrun import _config_overrides as overrides_of
from mtlrun._catalogue import conf_folder, did_you_mean
from mtlrun._config_check import ConfigError, Factory, read_target, read_value
from mtlrun._config_folder import folder_name
from mtlrun._config_layers import Layers, groups_of, session, without_own
from mtlrun._config_overrides import Value
from mtlrun._experiment_words import expand_table, split_selectors, unfold
from mtlrun.engine.settings import RunSetup

GIVEN = {"backbone": 1, "optimizer": 1}  # arguments that only a run can give: inputs, parameters
EARLY = ("trainer", "scheduler", "solver", "method", "weighting")
TOP: Mapping[str, Any] = {
    "seed": int,
    "phase": Literal["all", "collect"],
    "plan": Path | None,
    "affinity": Path | None,
    "select_on": Literal["val", "test"],
    "dry_run": bool,
    "outputs": Path,
    "store": Path | Literal[False] | None,
    "folder": Path | None,
    "row": str | None,
    "setting": str | None,
    "miniature": bool,
}


@dataclass(frozen=True)
class Composed:
    """A configuration that passed the check.

    Attributes:
        values: Resolved, as plain values.
        choices: The chosen file of every group that has one.
        folder: Of the run.
        factories: Checked constructors by group.
        built: What could be built without reading data, by group.
        top: The values that belong to no group, in the types of a run's setup.
        set_keys: Groups and values that the command line set.
        unresolved: The configuration before resolution.
    """

    values: Mapping[str, Any]
    choices: Mapping[str, str]
    folder: Path
    factories: Mapping[str, Factory]
    built: Mapping[str, Any]
    top: Mapping[str, Any]
    set_keys: tuple[str, ...] = ()
    unresolved: Mapping[str, Any] = field(default_factory=dict)

    def place(self, seed: int) -> tuple[Path, dict[str, Any]]:
        """The folder and the resolved values of the same run with another seed."""
        folder = self.folder if self.top["folder"] else self.folder.parent / f"seed{seed}"
        values = _resolved({**self.unresolved, "seed": seed})
        if "root" in self.values["data"]:
            values["data"]["root"] = self.values["data"]["root"]
        return folder, values


def compose(
    words: Sequence[str], *, conf: Path | None = None, data_root: Path | None = None
) -> Composed:
    """The configuration of a command line, recipe included.

    What wins, from weak to strong: the defaults of conf/config.yaml, a method's own defaults, the
    recipe, the experiment, the words of its row (see _experiment.py), the command line. A file that a stronger one chooses for a group begins
    from its own values: those that the recipe has for another file of the group do not apply.

    Args:
        words: Settings as `key=value`.
        conf: Folder of configuration files; the package's own by default.
        data_root: Folder of datasets: sets `data.root` to the dataset's folder in it where the
            dataset has that setting and it is null.

    Raises:
        ConfigError: With everything that is wrong.
    """
    conf = conf or conf_folder()
    problems: list[str] = []
    unfolded = unfold(words, conf)
    try:
        with session(conf):
            layers = Layers.of(unfolded.words, conf, problems)
            base = layers.load(values=False)
            values = [v for v in layers.values if not _report(v, base, layers.groups, problems)]
            layers = replace(layers, values=tuple(values))
            own = [value for value in values if value.key in unfolded.given]
            choices = layers.choices()
            unresolved = layers.load()
            config = _resolved(unresolved)
            changed, before = without_own(layers, unfolded, base, conf)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([*problems, " ".join(str(error).split())]) from error
    name = folder_name(config, changed, [v.key for v in own], before=_resolved(before))
    if data_root is not None and config["data"].get("root", "") is None:
        config["data"]["root"] = str(data_root / choices["data"])
    top, factories, built = _check(config, layers.groups, problems)
    chosen = layers.chosen.get("weighting")
    asked = chosen is not None and chosen.option != "equal"
    asked = asked or any(v.key.startswith("weighting.") for v in values)
    if asked and "method" in factories:
        problems += _check_weighting(factories["method"], choices)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    folder = top["folder"] or (
        top["outputs"] / choices["data"] / choices["method"] / name / f"seed{top['seed']}"
    )
    set_keys = (*layers.chosen, *(value.key for value in values))
    set_keys = tuple(key for key in set_keys if key in unfolded.given)
    return Composed(config, choices, folder, factories, built, top, set_keys, unresolved)


def build(composed: Composed) -> RunSetup:
    """Everything that a run needs, from a checked configuration.

    Raises:
        ConfigError: With everything that constructors refuse.
        DataError: If the dataset is missing or corrupt.
    """
    factories, built, top = composed.factories, composed.built, composed.top
    problems = [
        f"`{name}` should be a file. Found no `{top[name]}`."
        for name in ("plan", "affinity")
        if top[name] is not None and not top[name].is_file()
    ]
    if problems:
        raise ConfigError(problems)
    return RunSetup(
        config=composed.values,
        choices=composed.choices,
        folder=composed.folder,
        store=None if top["store"] in (False, None, Path("off")) else top["store"],
        data=factories["data"](),
        make_backbone=factories["backbone"],
        make_weighting=factories["weighting"],
        make_optimizer=built["optimizer"],
        schedule=built["scheduler"],
        method=built["method"],
        solver=built["solver"],
        trainer=built["trainer"],
        logger=_make_tracker(composed) if "logger" in factories else None,
        set_keys=composed.set_keys,
        **{k: top[k] for k in ("seed", "phase", "plan", "affinity", "select_on", "dry_run")},
    )


def setup_of(folder: Path) -> RunSetup:
    """Everything that the run of a folder was built from, as its config.yaml holds it.

    Raises:
        ConfigError: If there is no such file, or something in it fits no longer.
        DataError: If the dataset is missing or corrupt.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise ConfigError([f"{folder} should be the folder of a run. Found no config.yaml in it."])
    values = _resolved(OmegaConf.to_container(OmegaConf.load(path)))  # type: ignore[arg-type]  # a mapping
    problems: list[str] = []
    top, factories, built = _check(values, groups_of(conf_folder()), problems)
    if problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    given = {"plan": None, "affinity": None}  # what came of them is in the folder
    return build(Composed(values, {}, folder, factories, built, top | given))


def expand(words: Sequence[str], *, conf: Path | None = None) -> list[list[str]]:
    """The command lines of a sweep, one a run."""
    conf = conf or conf_folder()
    selectors, others = split_selectors(words)
    with session(conf) as config_loader:
        lines = overrides_of.expand(others, config_loader)
    return [run for line in lines for run in expand_table([*line, *selectors], conf)]


@contextlib.contextmanager
def together() -> Iterator[None]:
    """What is composed in this block shares the files that were loaded."""
    with session(conf_folder()):
        yield


def to_yaml(composed: Composed) -> str:
    """The resolved configuration as YAML, the chosen files as comments."""
    choices = "".join(f"# {group}={option}\n" for group, option in composed.choices.items())
    return choices + OmegaConf.to_yaml(OmegaConf.create(dict(composed.values)))


@dataclass(frozen=True)
class MakeOptimizer:
    """Makes an optimizer; where `fused` is null, the fused kernels where the parameters allow them.

    Attributes:
        factory: Of the optimizer, from parameters.
    """

    factory: Factory

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """An optimizer of some parameters."""
        parameters, factory = list(parameters), self.factory
        if factory.arguments.get("fused", False) is None and all(
            p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters
        ):
            factory = replace(factory, arguments={**factory.arguments, "fused": True})
        optimizer = factory(parameters)
        assert isinstance(optimizer, torch.optim.Optimizer)
        return optimizer

    def identity(self) -> dict[str, Any]:
        """The plain values that stand for it in a training's name."""
        return self.factory.identity()


def _resolved(config: Mapping[str, Any]) -> dict[str, Any]:
    resolved = OmegaConf.to_container(OmegaConf.create(dict(config)), resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def _report(
    value: Value, config: Mapping[str, Any], groups: Sequence[str], problems: list[str]
) -> bool:
    problem = overrides_of.check_key(value, config, groups)
    problems += [] if problem is None else [problem]
    return problem is not None


def _check(
    config: Mapping[str, Any], groups: Sequence[str], problems: list[str]
) -> tuple[dict[str, Any], dict[str, Factory], dict[str, Any]]:
    top: dict[str, Any] = {}
    factories: dict[str, Factory] = {}
    built: dict[str, Any] = {}
    for key, value in config.items():
        count = len(problems)
        if key in TOP:
            top[key] = read_value(value, TOP[key], key, problems)
        elif key not in groups:
            near = did_you_mean(key, [*TOP, *groups])
            problems.append(f"`{key}` is no setting.{near} See `mtlrun config` for all settings.")
        elif value or key != "logger":  # logger=none has no settings
            factory = read_target(value, key, problems, num_given=GIVEN.get(key, 0))
            if factory is not None and len(problems) == count:
                factories[key] = factory
                built |= _build_early(factory, problems)
    missing = [key for key in (*TOP, *groups) if key not in config]
    problems += [
        f"`{key}` is missing from the configuration."
        for key in missing
        if key not in overrides_of.OPTIONAL
    ]
    return top, factories, built


def _check_weighting(method: Factory, choices: Mapping[str, str]) -> list[str]:
    """What is wrong with asking for a weighting."""
    if getattr(method.target, "takes_weighting", True):
        return []
    return [
        f"`weighting={choices['weighting']}` should be used with a method that trains tasks jointly by "
        f"a weighting. Found `method={choices['method']}`, which has none. Remove it, or choose another "
        f"method, such as hps."
    ]


def _build_early(factory: Factory, problems: list[str]) -> dict[str, Any]:
    """What needs neither data nor a network, so that refused values show with everything else."""
    group = factory.path
    try:
        if group == "optimizer":
            make = MakeOptimizer(factory)
            make([nn.Parameter(torch.zeros(1))])
            return {group: make}
        return {group: factory()} if group in EARLY else {}
    except ConfigError as error:
        problems += error.problems
        return {}


def _make_tracker(composed: Composed) -> Callable[[Mapping[str, Any], Path], Any]:
    """Starts a tracker, of the group of the experiment where it has groups and none was named."""
    factory, choices = composed.factories["logger"], composed.choices
    if factory.arguments.get("group", "") is None:
        group = choices.get("experiment") or f"{choices['data']}/{choices['method']}"
        factory = replace(factory, arguments={**factory.arguments, "group": group})

    def start(config: Mapping[str, Any], folder: Path) -> Any:
        tracker = factory()
        tracker.start(config, folder)
        return tracker

    return start
