"""Names of sources: `recording.raw?width=640&height=480`, `replay:FILE`, `scheme:name`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from evface_edge.errors import ConfigError
from evface_edge.geometry import SensorSize

# At least two letters: one letter is a drive of Windows.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?://)?(.*)", re.DOTALL)


@dataclass(frozen=True)
class SourceName:
    """The parts of the name of a source.

    Attributes:
        scheme: the part before the colon, such as "synthetic"; empty for a file.
        name: a path, or the part after the colon.
        options: the part after the question mark.
    """

    scheme: str
    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return Path(self.name)


def parse(source: str | os.PathLike[str]) -> SourceName:
    """Parses a path or URI. If a file of exactly that name exists, it is that file.

    Raises:
        ConfigError: an empty name, or options that do not have the form `key=value&key=value`.
    """
    if isinstance(source, os.PathLike):
        return SourceName("", os.fspath(source))
    if not source:
        raise ConfigError("source", source, "a path or URI")
    if "\0" in source:
        raise ConfigError("source", source, "a path or URI without a null character")
    if os.path.exists(source):
        return SourceName("", source)
    scheme, rest = "", source
    match = _SCHEME.fullmatch(source)
    if match:
        scheme, rest = match[1].lower(), match[2]
        if scheme == "file":
            scheme = ""
    name, _, query = rest.partition("?")
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        key, _, value = part.partition("=")
        if not (key and value):
            raise ConfigError(f"option of {name}", part, "key=value, joined by &")
        if key in options:
            twice = f"{key} is given twice in {source}"
            raise ConfigError(f"option of {name}", part, "each key once", reason=twice)
        options[key] = unquote(value)
    return SourceName(scheme, name, options)


def pop_size(options: dict[str, str]) -> SensorSize | None:
    """Removes `width` and `height` from `options`, and returns them; None without both.

    Raises:
        ConfigError: one without the other, or an impossible size.
    """
    width, height = options.pop("width", None), options.pop("height", None)
    if width is None and height is None:
        return None
    if width is None or height is None:
        raise ConfigError("width and height", (width, height), "both or neither")
    for field_name, value in (("width", width), ("height", height)):
        if not re.fullmatch(r"[0-9]{1,6}", value):
            raise ConfigError(field_name, value, "a whole number of pixels")
    return SensorSize(int(width), int(height))
