"""YAML → frozen dataclasses. An unknown key is an error that suggests the nearest known one."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator, Mapping
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
    fields = [f for f in dataclasses.fields(kind) if f.init]  # type: ignore[arg-type]
    known = [f.name for f in fields]
    arguments = {}
    for key, value in values.items():
        if key not in known:
            hint = _nearest(key, known, _within(hints))
            raise ConfigError(f"{where}.{key}", value, f"a known setting; {hint}")
        arguments[key] = _convert(hints[key], value, f"{where}.{key}")
    missing = [
        f.name
        for f in fields
        if f.name not in values
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(where, sorted(values), f"{', '.join(missing)} as well")
    return kind(**arguments)


def differences(old: Any, new: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The differences of two nested mappings: (dotted name, old value, new value)."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            name = f"{where}.{key}" if where else str(key)
            yield from differences(old.get(key), new.get(key), name)
    elif old != new:
        yield where, old, new


def _nearest(word: Any, known: list[str], elsewhere: Mapping[str, str] | None = None) -> str:
    """A hint: the nearest of the known names, or of names in other sections."""
    names = {**(elsewhere or {}), **{name: name for name in known}}
    near = difflib.get_close_matches(str(word), names, 1)
    return f"did you mean {names[near[0]]!r}?" if near else f"one of {', '.join(known)}"


def _within(hints: Mapping[str, Any]) -> dict[str, str]:
    """Fields of nested dataclasses, with their section: side → student.side or teacher.side."""
    places: dict[str, str] = {}
    for outer, kind in hints.items():
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            for name in (field.name for field in dataclasses.fields(kind) if field.init):
                place = f"{outer}.{name}"
                places[name] = f"{places[name]} or {place}" if name in places else place
    return places


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, where)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return _convert(next(i for i in inner if i is not type(None)), value, where)
    if origin is typing.Literal:
        if value not in inner:
            raise ConfigError(
                where, value, f"{', '.join(map(str, inner))}; {_nearest(value, [*map(str, inner)])}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(where, value, "a list")
        if inner[-1:] == (Ellipsis,):
            inner = (inner[0],) * len(value)
        if len(value) != len(inner):
            raise ConfigError(where, value, f"a list of {len(inner)}")
        return tuple(_convert(i, v, where) for i, v in zip(inner, value, strict=True))
    if hint is float:
        return _number(value, where)
    wrong = isinstance(hint, type) and not isinstance(value, hint)
    if wrong or (hint is int and isinstance(value, bool)):
        raise ConfigError(where, value, f"a value of type {hint.__name__}")
    return value


def _number(value: Any, where: str) -> float:
    try:
        # YAML 1.1 reads 1e-3, without a point, as text.
        if not isinstance(value, bool) and isinstance(value, (int, float, str)):
            return float(value)
    except ValueError:
        pass
    raise ConfigError(where, value, "a value of type float")


def load_yaml(kind: type[T], path: Path) -> T:
    """A recipe file as an instance of `kind`.

    Raises:
        ConfigError: no such file, no YAML, a repeated key, or a key or value that `kind` does not
            allow.
    """
    import yaml

    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [loader.construct_object(key) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigError(f"{path.name}.{key}", "set twice", "once")
        return loader.construct_mapping(node, deep=True)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Strict)
    except OSError as error:
        raise ConfigError("recipe", str(path), f"a readable file ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError("recipe", str(path), f"YAML ({error})") from None
    return build(kind, values, path.name)
