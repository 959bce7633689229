"""Objects that know what they were built with, so that a training can be named by its settings."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self


class Identified:
    """Remembers the arguments of its constructor; they name a training in the store.

    Subclasses need do nothing. One whose arguments do not determine its behaviour (a path, say)
    overrides `identity`.
    """

    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keeps the arguments, defaults included, before the constructor sees them."""
        self = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(self, *args, **kwargs)
        except (
            TypeError
        ):  # a wrong call, which __init__ reports, or a copy, which restores __dict__
            return self
        bound.apply_defaults()
        object.__setattr__(self, "_arguments", dict(list(bound.arguments.items())[1:]))
        return self

    def identity(self) -> dict[str, Any]:
        """The class and the arguments, as plain values that JSON can hold."""
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        return {"kind": kind} | {k: identity_of(v) for k, v in self._arguments.items()}


def identity_of(value: Any) -> Any:
    """The plain value that stands for an object in a training's name.

    Raises:
        TypeError: If nothing stable stands for it, as for a tensor or an open file.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "identity"):
        return value.identity()
    if isinstance(value, Mapping):
        return {str(k): identity_of(v) for k, v in value.items()}
    if isinstance(value, Sequence):
        return [identity_of(v) for v in value]
    if inspect.isfunction(value) or inspect.isclass(value):
        return f"{value.__module__}.{value.__qualname__}"
    raise TypeError(
        f"An argument that names a training should be a plain value or have `identity()`. "
        f"Found {type(value).__qualname__}."
    )
