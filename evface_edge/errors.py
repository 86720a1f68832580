"""Every error that this SDK raises on purpose.

EvfaceError
├── EventFormatError      a recording or an array of events is damaged or breaks its format
├── CameraError           a camera is absent, busy, or was unplugged
├── ModelError            a model is missing or damaged, or its card does not fit
├── RuntimeUnavailable    a runtime or device is not available
├── DeviceMismatch        an engine was built for another GPU or TensorRT
├── ExportError           an export or its accuracy check failed
└── ConfigError           a setting is outside what is allowed
    └── InputTypeError    an argument has the wrong type; also a TypeError

Each message is one sentence: file, field, what was expected, what was found, what to do next. The
same facts are attributes: `path`, `field`, `value`, `expected`, `fix`; None where they do not
apply. `EventFormatWarning` is the only warning.
"""

from __future__ import annotations

from pathlib import Path

from evface_runtimes.errors import (
    ConfigError,
    DeviceMismatch,
    EvfaceError,
    ModelError,
    RuntimeUnavailable,
)

__all__ = [
    "CameraError",
    "ConfigError",
    "DeviceMismatch",
    "EventFormatError",
    "EventFormatWarning",
    "EvfaceError",
    "ExportError",
    "InputTypeError",
    "ModelError",
    "RuntimeUnavailable",
]


class EventFormatError(EvfaceError):
    """A recording or an array of events that breaks its format.

    Attributes:
        offset: byte offset of the damage in the file, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        offset: int | None = None,
        field: str | None = None,
        value: object = None,
        expected: str | None = None,
        fix: str | None = None,
    ) -> None:
        at = "" if offset is None else f" (byte {offset})"
        super().__init__(
            message + at, path=path, field=field, value=value, expected=expected, fix=fix
        )
        self.reason = message
        self.offset = offset


class EventFormatWarning(UserWarning):
    """A recording is damaged: its events before the damage were read, the rest was not."""


class CameraError(EvfaceError):
    """A camera is absent, busy, or was unplugged."""


class ExportError(EvfaceError):
    """An export failed; the message names the stage, or the metrics beyond their limits."""


class InputTypeError(ConfigError, TypeError):
    """An argument of a wrong type; `value` is the name of the type that was found.

    With `show_value`, which is for short tuples, `value` is the argument itself.
    """

    def __init__(
        self,
        field: str,
        argument: object,
        expected: str,
        *,
        fix: str | None = None,
        show_value: bool = False,
        reason: str | None = None,
    ) -> None:
        if show_value:
            ConfigError.__init__(self, field, argument, expected, fix=fix)
            return
        kind = type(argument)
        name = kind.__qualname__
        if kind.__module__ != "builtins":
            name = f"{kind.__module__}.{name}"
        super().__init__(field, name, expected, fix=fix, reason=reason)


def printable(text: str) -> str:
    """Text from a file or library, for a message: one line of at most 200 characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200].strip()


def first_line(error: BaseException) -> str:
    """The first line of the message of another library's error, or else its class name."""
    return printable(str(error).strip().partition("\n")[0]) or type(error).__name__
