"""Whether a plain value fits an annotation, and the annotation in words."""

import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union


class MisfitError(Exception):
    """A value that does not fit an annotation."""


def fit(value: Any, annotation: Any) -> Any:
    """A value in the type of an annotation: 1 for a float becomes 1.0, a list for a tuple a tuple.

    Args:
        value: Plain, or an object that knows its class as `target`, which is not built yet.
        annotation: One that says nothing about files, such as Any or a callable, fits all.

    Raises:
        MisfitError: If it does not fit.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    kind = origin or annotation
    if kind in _PLAIN:
        return _PLAIN[kind][1](value)
    if kind in _CHOICES:
        return _CHOICES[kind](value, arguments)
    made = getattr(value, "target", None)
    if kind in _CONTAINERS and made is None:
        return _CONTAINERS[kind](value, arguments)
    unsaid = kind in (Any, object) or getattr(kind, "_is_protocol", False)
    if unsaid or not inspect.isclass(kind):
        return value
    if made is not None:  # what a function makes is not known
        return _require(value, not inspect.isclass(made) or issubclass(made, kind))
    return _require(value, isinstance(value, kind))


def say(annotation: Any) -> str:
    """What an annotation asks for, in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    kind = origin or annotation
    fitter = _CONTAINERS.get(kind) if inspect.isclass(kind) else None
    if kind is Literal:
        words = "one of " + ", ".join(repr(a) for a in arguments)
    elif kind in (Union, types.UnionType):
        words = " or ".join(dict.fromkeys(say(a) for a in arguments))
    elif kind in _PLAIN:
        words = _PLAIN[kind][0]
    elif fitter is _fit_tuple and arguments and arguments[-1] is not ...:
        words = f"a list of {len(arguments)} ({', '.join(say(a) for a in arguments)})"
    elif fitter is _fit_mapping:
        words = "a mapping" + (f" to {say(arguments[1])}" if len(arguments) == 2 else "")
    elif fitter is not None:
        words = "a list" + (f", each {say(arguments[0])}" if arguments else "")
    else:
        words = f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', kind)}"
    return words


def _require(value: Any, fits: Any) -> Any:
    if not fits:
        raise MisfitError
    return value


def _fit_bool(value: Any) -> Any:
    return _require(value, isinstance(value, bool))


def _fit_int(value: Any) -> Any:
    return _require(value, isinstance(value, int) and not isinstance(value, bool))


def _fit_float(value: Any) -> Any:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    return float(_require(value, fits))


def _fit_str(value: Any) -> Any:
    return _require(value, isinstance(value, str))


def _fit_path(value: Any) -> Any:
    return Path(_fit_str(value))


def _fit_none(value: Any) -> Any:
    return _require(value, value is None)


def _fit_any(value: Any, annotations: Sequence[Any]) -> Any:
    """The fit to one of several; one that leaves the value's type as it is comes first."""
    fits = []
    for annotation in annotations:
        try:
            fits.append(fit(value, annotation))
        except MisfitError:
            continue
    _require(value, bool(fits))
    return next((fitted for fitted in fits if type(fitted) is type(value)), fits[0])


def _fit_literal(value: Any, options: Sequence[Any]) -> Any:
    return _require(value, any(value == own and type(value) is type(own) for own in options))


def _fit_list(value: Any, annotations: Sequence[Any]) -> Any:
    _require(value, isinstance(value, list))
    return [fit(inner, annotations[0] if annotations else Any) for inner in value]


def _fit_tuple(value: Any, annotations: Sequence[Any]) -> Any:
    _require(value, isinstance(value, list))
    if not annotations:
        return tuple(value)
    if annotations[-1] is ...:
        return tuple(fit(inner, annotations[0]) for inner in value)
    _require(value, len(value) == len(annotations))
    return tuple(fit(inner, own) for inner, own in zip(value, annotations, strict=True))


def _fit_mapping(value: Any, annotations: Sequence[Any]) -> Any:
    _require(value, isinstance(value, dict))
    own = annotations[1] if len(annotations) == 2 else Any
    return {key: fit(inner, own) for key, inner in value.items()}


_PLAIN: Mapping[Any, tuple[str, Callable[[Any], Any]]] = {
    bool: ("true or false", _fit_bool),
    int: ("a whole number", _fit_int),
    float: ("a number", _fit_float),
    str: ("a text", _fit_str),
    Path: ("a path", _fit_path),
    None: ("null", _fit_none),
    type(None): ("null", _fit_none),
}
_CHOICES: Mapping[Any, Callable[[Any, Sequence[Any]], Any]] = {
    Union: _fit_any,
    types.UnionType: _fit_any,
    Literal: _fit_literal,
}
_CONTAINERS: Mapping[Any, Callable[[Any, Sequence[Any]], Any]] = {
    list: _fit_list,
    Sequence: _fit_list,
    Collection: _fit_list,
    Iterable: _fit_list,
    tuple: _fit_tuple,
    dict: _fit_mapping,
    Mapping: _fit_mapping,
}
