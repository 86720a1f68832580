"""Every error this SDK raises on purpose.

EvfaceError
├── EventFormatError      a recording that cannot be read: path, byte offset, what was expected
├── CameraError           a camera that is not there, or went away
├── ModelError            an artefact without a card, or with a card that does not fit
├── RuntimeUnavailable    a runtime or device that was named and is not there
├── DeviceMismatch        an engine built for another GPU or TensorRT
├── ExportError           a stage of an export failed, or its parity gate did
└── ConfigError           a setting outside what is allowed

Each message is one sentence that says what was expected, what was found, and what to do next.
`EventFormatWarning` is the only warning: a damaged recording whose sound part was delivered.
"""

from __future__ import annotations

from pathlib import Path


class EvfaceError(Exception):
    """The base of all of them."""


class EventFormatError(EvfaceError):
    """A recording, or an array of events, that breaks its format.

    Attributes:
        path: the file, where there is one.
        offset: byte offset of the damage, where it is known.
        reason: the message without both.
    """

    def __init__(
        self, message: str, *, path: str | Path | None = None, offset: int | None = None
    ) -> None:
        self.path = None if path is None else Path(path)
        self.offset = offset
        self.reason = message
        where = "" if path is None else f"{path}: "
        at = "" if offset is None else f" (byte {offset})"
        super().__init__(f"{where}{message}{at}")


class EventFormatWarning(UserWarning):
    """A damaged recording: the events before the damage were delivered, the rest was not."""


class CameraError(EvfaceError):
    """A camera that is absent, busy, or was unplugged."""


class ModelError(EvfaceError):
    """A model that is missing, damaged, has no card, or a card that does not fit it."""


class RuntimeUnavailable(EvfaceError):
    """A runtime or device was named and is not there; the message says what to install."""


class DeviceMismatch(EvfaceError):
    """An engine built for another GPU, or by another TensorRT; the message says how to rebuild."""


class ExportError(EvfaceError):
    """An export that failed: the stage, and the figures where a parity gate closed."""


class ConfigError(EvfaceError):
    """A setting outside what is allowed.

    Attributes:
        field: the name of the setting.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        super().__init__(f"{field} = {value!r}: expected {allowed}")
