"""YAML → frozen dataclasses, strictly: an unknown key is an error that names the nearest."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from evface_edge.errors import ConfigError

T = TypeVar("T")


def build(kind: type[T], values: Any, where: str) -> T:
    """An instance of dataclass `kind` from nested mappings; lists become tuples.

    Raises:
        ConfigError: an unknown key (with the nearest known one), a missing or mistyped value.
    """
    if not isinstance(values, dict):
        raise ConfigError(where, values, f"a mapping with fields of {kind.__name__}")
    hints = typing.get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    arguments = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(known)}"
            raise ConfigError(f"{where}.{key}", value, f"a known setting; {hint}")
        arguments[key] = _convert(hints[key], value, f"{where}.{key}")
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ConfigError(where, sorted(values), f"all required fields ({error})") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, where)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return _convert(next(i for i in inner if i is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(where, value, "a list")
        if inner[-1:] == (Ellipsis,):
            inner = (inner[0],) * len(value)
        if len(value) != len(inner):
            raise ConfigError(where, value, f"a list of {len(inner)}")
        return tuple(_convert(i, v, where) for i, v in zip(inner, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (hint is int and value is True)):
        raise ConfigError(where, value, f"a value of type {hint.__name__}")
    return value


def load_yaml(kind: type[T], path: Path) -> T:
    """A recipe file as an instance of `kind`.

    Raises:
        ConfigError: no such file, not YAML, or not what `kind` allows.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError("recipe", str(path), f"a readable file ({error.strerror})") from None
    except yaml.YAMLError as error:
        raise ConfigError("recipe", str(path), f"YAML ({error})") from None
    return build(kind, values, path.name)
