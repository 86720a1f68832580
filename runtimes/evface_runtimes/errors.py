"""The base of every error of the SDK, and the errors that a runtime can raise.

They are defined here because the runtimes import nothing else of the project;
`evface_edge.errors` has the whole tree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class EvfaceError(Exception):
    """The base of every error that this SDK raises on purpose.

    The text is "path: message; fix". Every error can be pickled.

    Attributes:
        path: the file, or None.
        field: the setting, argument or tensor, or None.
        value: what was found, or None.
        expected: what was expected, as text, or None.
        fix: what to do next, as text, or None.
        reason: the message without path and fix.
    """

    def __init__(
        self,
        message: str = "",
        *,
        path: str | Path | None = None,
        field: str | None = None,
        value: object = None,
        expected: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.field = field
        self.value = value
        self.expected = expected
        self.fix = fix
        self.reason = message
        super().__init__(
            ("" if path is None else f"{path}: ") + message + ("" if fix is None else f"; {fix}")
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[EvfaceError], args: tuple[Any, ...], state: dict[str, Any]) -> EvfaceError:
    """An unpickled error; `__init__` of a subclass may take other arguments than `args`."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ModelError(EvfaceError):
    """A model that is missing or damaged, or whose card is missing or does not fit it."""


class RuntimeUnavailable(EvfaceError):
    """A runtime or device is not available; `fix` names what to install."""


class DeviceMismatch(EvfaceError):
    """An engine was built for another GPU or TensorRT; `fix` is the command that rebuilds it."""


class ConfigError(EvfaceError):
    """A setting or argument outside what is allowed: `field`, `value` and `expected` are set.

    The message is "field = value: expected …", unless another one is given.
    """

    def __init__(
        self,
        field: str,
        value: object,
        expected: str,
        *,
        path: str | Path | None = None,
        fix: str | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(
            reason or f"{field} = {value!r}: expected {expected}",
            path=path,
            field=field,
            value=value,
            expected=expected,
            fix=fix,
        )
