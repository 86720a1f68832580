"""Options of cameras: conversion from text, and validation."""

from __future__ import annotations

import dataclasses
import enum
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize

_BOOLEANS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True)
class LiveOptions:
    """Options of every live source.

    Attributes:
        queue_events: that may wait for the consumer; beyond that the oldest packets are dropped.
        max_lag_us: packets that end longer than this before the newest event are dropped.
        reconnect: whether to wait for a camera that was disconnected.
    """

    queue_events: int = 2_000_000
    max_lag_us: int | None = None
    reconnect: bool = False

    def __post_init__(self) -> None:
        if self.queue_events < 1000:
            raise ConfigError("queue_events", self.queue_events, "1000 or more")
        if self.max_lag_us is not None and self.max_lag_us < 1000:
            raise ConfigError("max_lag_us", self.max_lag_us, "1000 or more")

    @classmethod
    def take(cls, options: dict[str, str]) -> LiveOptions:
        """Removes its options from `options`; ConfigError for an impossible value."""
        names = [field.name for field in dataclasses.fields(cls) if field.name in options]
        return cast(LiveOptions, build_config(cls, {name: options.pop(name) for name in names}))


def as_text(options: Mapping[str, object]) -> dict[str, str]:
    """Keyword options as URI options: nested names joined by dots, tuples by commas."""
    texts: dict[str, str] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            for key, text in as_text(value).items():
                texts[f"{name}.{key}"] = text
        elif isinstance(value, bool):
            texts[name] = "1" if value else "0"
        elif isinstance(value, enum.Enum):
            texts[name] = value.name
        elif isinstance(value, (tuple, list)):
            texts[name] = ",".join(map(str, value))
        else:
            texts[name] = str(value)
    return texts


def integer(name: str, text: str, low: int | None = None, high: int | None = None) -> int:
    """The value of an option; ConfigError if it is not an integer from low to high."""
    allowed = "a whole number" if low is None else f"a whole number from {low} to {high}"
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ConfigError(name, text, allowed)
    value = int(text)
    if low is not None and high is not None and not low <= value <= high:
        raise ConfigError(name, value, allowed)
    return value


def number(name: str, text: str) -> float:
    """The value of an option; ConfigError if it is not a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(name, text, "a number above 0")
    return value


def boolean(name: str, text: str) -> bool:
    """The value of an option; ConfigError if it is not 1, 0, true, false, yes or no."""
    if text.lower() not in _BOOLEANS:
        raise ConfigError(name, text, "1 or 0")
    return _BOOLEANS[text.lower()]


@dataclass(frozen=True)
class Region:
    """A region of interest, in pixels; the camera sends no events from outside it."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str, size: SensorSize | None = None) -> Region:
        """Parses `x,y,width,height`.

        Raises:
            ConfigError: not four numbers, empty, or not within a sensor of `size`.
        """
        parts = text.split(",")
        if len(parts) != 4:
            raise ConfigError("roi", text, "x,y,width,height in pixels")
        region = cls(*(integer("roi", part.strip(), 0, 65535) for part in parts))
        if region.width < 1 or region.height < 1:
            raise ConfigError("roi", text, "a width and a height of 1 pixel or more")
        if size is not None and (
            region.x + region.width > size.width or region.y + region.height > size.height
        ):
            raise ConfigError("roi", text, f"a rectangle within the {size} sensor")
        return region


def check_empty(options: Mapping[str, str], camera: str, allowed: typing.Iterable[str]) -> None:
    """Raises ConfigError if an option is left, which the camera does not have."""
    for name in options:
        raise ConfigError(f"option of {camera}", name, ", ".join(sorted(allowed)))


def build_config(cls: type[Any], options: Mapping[str, str], prefix: str = "") -> Any:
    """Builds a nested dataclass of a library from dotted options, such as `biases.diff_on=20`.

    Integers must be in the range of the NumPy type of their field.

    Raises:
        ConfigError: an unknown field, or a value of the wrong type or range.
    """
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    nested: dict[str, dict[str, str]] = {}
    for key, text in options.items():
        name, dot, rest = key.partition(".")
        if name not in hints:
            raise ConfigError("option", prefix + key, ", ".join(option_names(cls, prefix)))
        if dot:
            nested.setdefault(name, {})[rest] = text
        else:
            values[name] = _value(prefix + name, text, hints[name])
    for name, inner in nested.items():
        kind = _dataclass_in(hints[name])
        if kind is None:
            raise ConfigError("option", f"{prefix}{name}.{next(iter(inner))}", prefix + name)
        values[name] = build_config(kind, inner, f"{prefix}{name}.")
    for field in dataclasses.fields(cls):
        required = field.default is field.default_factory is dataclasses.MISSING
        if required and field.name not in values:
            raise ConfigError(
                prefix + field.name, None, f"a value beside {prefix}{next(iter(values))}"
            )
    return cls(**values)


def option_names(cls: type[Any], prefix: str = "") -> list[str]:
    """The dotted names that `build_config` accepts."""
    names = []
    for name, hint in typing.get_type_hints(cls).items():
        kind = _dataclass_in(hint)
        if kind is not None:
            names += option_names(kind, f"{prefix}{name}.")
        elif typing.get_origin(hint) is not tuple:
            names.append(prefix + name)
    return names


def _dataclass_in(hint: Any) -> type[Any] | None:
    """The dataclass of an annotation such as `Biases` or `Biases | None`."""
    for kind in (hint, *typing.get_args(hint)):
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return kind
    return None


def _value(name: str, text: str, hint: Any) -> Any:
    kinds = [kind for kind in (hint, *typing.get_args(hint)) if isinstance(kind, type)]
    if typing.get_origin(hint) is not tuple:
        for kind in kinds:
            if issubclass(kind, enum.Enum):
                by_name = {member.name.lower(): member for member in kind}
                if text.lower() not in by_name:
                    raise ConfigError(name, text, ", ".join(by_name))
                return by_name[text.lower()]
            if kind is bool:
                return boolean(name, text)
            if kind is int:
                return integer(name, text)
            if issubclass(kind, np.integer):
                limits = np.iinfo(kind)
                return integer(name, text, int(limits.min), int(limits.max))
        if float in kinds:
            return number(name, text)
    raise ConfigError(name, text, "nothing: this option cannot be given as text")
