"""Compares settings with the constructors that they are for; builds nothing."""

import importlib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlrun._catalogue import did_you_mean
from mtlrun._config_types import MisfitError, fit, say


class ConfigError(ValueError):
    """Settings that cannot be run.

    Attributes:
        problems: All that is wrong, each with its path, what was found and the way out.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Factory:
    """A constructor and its checked keyword arguments; called with what only a run can give it.

    Attributes:
        target: Class or function.
        arguments: By name; a nested `Factory` is called first.
        path: In the configuration, for messages.
    """

    target: Callable[..., Any]
    arguments: Mapping[str, Any]
    path: str

    def __call__(self, *given: Any) -> Any:
        """Builds the object.

        Raises:
            ConfigError: If the constructor refuses a value.
        """
        arguments = {key: _built(value) for key, value in self.arguments.items()}
        try:
            return self.target(*given, **arguments)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError([f"In `{self.path}`: {error}"]) from error

    def identity(self) -> dict[str, Any]:
        """The plain values that stand for it in a training's name."""
        kind = f"{self.target.__module__}.{self.target.__qualname__}"
        return {"kind": kind} | {k: _identity(v) for k, v in self.arguments.items()}


def read_target(
    node: Mapping[str, Any], path: str, problems: list[str], *, num_given: int = 0
) -> Factory | None:
    """The constructor that a node names, with arguments in the types of its annotations.

    Args:
        node: Plain values; `_target_` and keyword arguments.
        path: Of the node, such as "trainer".
        problems: Extended by everything that is wrong.
        num_given: Leading arguments that a run gives and settings cannot.

    Returns:
        None if `_target_` cannot be used.
    """
    target = _import(node.get("_target_"), path, problems)
    if target is None:
        return None
    parameters, hints, takes_any = _signature(target)
    given, known = parameters[:num_given], parameters[num_given:]
    names = [p.name for p in known]
    arguments = {}
    for key, value in node.items():
        place = f"{path}.{key}"
        if key == "_target_":
            continue
        if key in names or (takes_any and key not in {p.name for p in given}):
            found = read_value(value, hints.get(key, Any), place, problems)
            arguments[key] = found
        elif key in {p.name for p in given}:
            problems.append(f"`{place}` is given by the run. Remove it.")
        else:
            near = did_you_mean(key, names, f"{path}.{{}}")
            problems.append(
                f"`{place}` is no setting of {target.__module__}.{target.__qualname__}."
                f"{near} Its settings: {', '.join(names) or 'none'}."
            )
    problems += [
        f"`{path}.{p.name}` is needed by {target.__module__}.{target.__qualname__} and not set."
        for p in known
        if p.default is p.empty and p.name not in node
    ]
    return Factory(target, arguments, path)


def read_value(value: Any, annotation: Any, path: str, problems: list[str]) -> Any:
    """A value in the type of an annotation; extends `problems` where it does not fit."""
    value = _with_factories(value, path, problems)
    if value == "???":
        problems.append(f"`{path}` has no default. Set {path}=...")
        return value
    try:
        return fit(value, annotation)
    except MisfitError:
        problems.append(f"`{path}` should be {say(annotation)}. Found `{path} = {_show(value)}`.")
        return value


def _show(value: Any) -> str:
    if isinstance(value, Factory):
        return f"{value.target.__module__}.{value.target.__qualname__}"
    return "null" if value is None else repr(value)


def _built(value: Any) -> Any:
    if isinstance(value, Factory):
        return value()
    if isinstance(value, dict):
        return {key: _built(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_built(inner) for inner in value)
    return value


def _identity(value: Any) -> Any:
    if isinstance(value, Factory):
        return value.identity()
    if isinstance(value, dict):
        return {str(key): _identity(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_identity(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _import(name: Any, path: str, problems: list[str]) -> Callable[..., Any] | None:
    place = f"`{path}._target_`"
    module_name, _, attribute = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    if not module_name:
        problems.append(f"{place} should be the dotted name of a class. Found {name!r}.")
        return None
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            problems.append(
                f"{place} should name a class. Found `{name}`: no module `{error.name}`."
            )
        else:
            problems.append(
                f"{place} names `{name}`, which needs the package `{error.name}`. Install it, or "
                f"choose another option for `{path}`."
            )
        return None
    target = getattr(module, attribute, None)
    if not callable(target):
        near = did_you_mean(attribute, vars(module), f"{module_name}.{{}}")
        problems.append(f"{place} should name a class. Found `{name}`, which does not exist.{near}")
        return None
    return typing.cast(Callable[..., Any], target)


def _signature(
    target: Callable[..., Any],
) -> tuple[list[inspect.Parameter], Mapping[str, Any], bool]:
    """Named parameters, their annotations, and whether any other name is taken too."""
    call: Callable[..., Any] = target
    if inspect.isclass(target):
        call = target.__init__
        if call is object.__init__:
            return [], {}, False
    parameters = list(inspect.signature(call).parameters.values())
    parameters = parameters[1:] if inspect.isclass(target) else parameters
    try:
        hints = typing.get_type_hints(call)
    except (NameError, TypeError):  # a foreign library's annotation for type checkers only
        hints = {}
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return named, hints, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _with_factories(value: Any, path: str, problems: list[str]) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return read_target(value, path, problems)
        return {k: _with_factories(v, f"{path}.{k}", problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_factories(v, f"{path}.{i}", problems) for i, v in enumerate(value)]
    return value
