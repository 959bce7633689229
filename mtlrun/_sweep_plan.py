"""What a sweep's command line asks for: its runs, checked, and how they are run."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from mtlrun import config
from mtlrun._catalogue import conf_folder, did_you_mean, options
from mtlrun._config_check import ConfigError, read_target, read_value
from mtlrun._experiment import key_of
from mtlrun._launch import Launcher
from mtlrun._sweep import Planned, Sweep
from mtlrun.engine.record import differences

LAUNCHER = "hydra/launcher"  # the word; the files are in conf/launcher
FILES = "launcher"
ARGUMENTS = "hydra.launcher."
OWN = (LAUNCHER, "gpus", "on_error")


def _is_of_sweep(word: str) -> bool:
    """Whether a word says how a sweep is run."""
    return key_of(word) in OWN or key_of(word).startswith(ARGUMENTS)


def plan(words: Sequence[str], compose: Callable[[Sequence[str]], config.Composed]) -> Sweep:
    """The sweep of a command line.

    Args:
        words: Settings, some with several values, and those that say how it is run.
        compose: Checks the settings of a run.

    Raises:
        ConfigError: With everything that is wrong with any run.
    """
    problems: list[str] = []
    own = [word for word in words if _is_of_sweep(word)]
    launcher, on_error = _options(own, problems)
    with config.together():
        try:
            lines = config.expand([word for word in words if not _is_of_sweep(word)])
        except ConfigError as error:
            raise ConfigError([*problems, *error.problems]) from None
        runs = _plan_runs(lines, compose, problems)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    assert launcher is not None
    return Sweep(runs, launcher, on_error)


def _plan_runs(
    lines: Sequence[Sequence[str]],
    compose: Callable[[Sequence[str]], config.Composed],
    problems: list[str],
) -> list[Planned]:
    """The runs; settings that differ by the seed only are checked once."""
    known: dict[tuple[str, ...], config.Composed | None] = {}
    runs = []
    for line in lines:
        seeds = [word for word in line if key_of(word) == "seed"]
        seed = seeds[0].partition("=")[2] if len(seeds) == 1 else ""
        has_seed = seed.isdecimal() and str(int(seed)) == seed
        key = tuple(word for word in line if word not in seeds) if has_seed else tuple(line)
        if key not in known:
            try:
                known[key] = compose(line)
            except ConfigError as error:
                known[key] = None
                problems += error.problems
        composed = known[key]
        if composed is not None:
            place = (composed.folder, composed.values)
            folder, values = composed.place(int(seed)) if has_seed else place
            runs.append(Planned(tuple(line), folder, is_done=_is_done(folder, values)))
    return runs


def _is_done(folder: Path, values: Any) -> bool:
    """Whether a run of these settings has its result; one that is odd is started, to say so."""
    if not (folder / "result.json").is_file():
        return False
    try:
        json.loads((folder / "result.json").read_bytes())
        before = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        return not differences(before, values)
    except (OSError, ValueError, yaml.YAMLError, AttributeError):
        return False


def _options(
    words: Sequence[str], problems: list[str]
) -> tuple[Launcher | None, Literal["continue", "stop"]]:
    given = {key_of(word): word.partition("=")[2] for word in words}
    on_error = read_value(
        given.get("on_error", "continue"), Literal["continue", "stop"], "on_error", problems
    )
    name = given.get(LAUNCHER, "basic")
    known = options(FILES)
    if name not in known:
        near = did_you_mean(name, known, f"{LAUNCHER}={{}}")
        problems.append(f"`{LAUNCHER}={name}` does not exist.{near} Options: {', '.join(known)}.")
        return None, on_error
    node = yaml.safe_load((conf_folder() / FILES / f"{name}.yaml").read_text(encoding="utf-8"))
    for key, text in given.items():
        if key.startswith(ARGUMENTS):
            node[key.removeprefix(ARGUMENTS)] = _value(text)
    if "gpus" in given:
        if "n_jobs" not in node or "gpus" not in node:
            problems.append(
                f"`gpus` should be with {LAUNCHER}=basic or joblib, which share out the GPUs of this "
                f"machine. Found {LAUNCHER}={name}."
            )
            return None, on_error
        numbers = [text.strip() for text in given["gpus"].strip("[]").split(",")]
        if not all(text.isdecimal() for text in numbers):
            problems.append(
                f"`gpus` should be numbers of GPUs, each once. Found `gpus={given['gpus']}`. Set "
                f"gpus=0,1."
            )
            return None, on_error
        node["gpus"] = [int(text) for text in numbers]
    count = len(problems)
    factory = read_target(node, "hydra.launcher", problems)
    if factory is None or len(problems) > count:
        return None, on_error
    try:
        launcher: Launcher = factory()
    except ConfigError as error:
        problems += error.problems
        return None, on_error
    return launcher, on_error


def _value(text: str) -> Any:
    """A value of the command line, read as YAML."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
