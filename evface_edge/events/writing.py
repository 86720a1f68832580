"""Writing recordings: all of it, or nothing."""

from __future__ import annotations

import os
import secrets
from types import TracebackType

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events import formats, uri
from evface_edge.events.array import EventArray, check_events
from evface_edge.events.limits import MAX_GAP_US, MAX_TIME_US
from evface_edge.geometry import SensorSize


class EventWriter:
    """Writes a recording packet by packet; a context manager.

    The events go to a temporary file beside the target, which takes the target's name when the
    `with` block ends well; when it does not, nothing remains.

    Attributes:
        path: the target.
        format: the row in the table of formats.
        events: written so far.
    """

    def __init__(self, target: str | os.PathLike[str], size: SensorSize) -> None:
        """
        Args:
            target: the suffix decides on the format; `out.raw?format=evt2` names it.

        Raises:
            EventFormatError: no format with this suffix can be written, or the file cannot.
            ConfigError: an option that does not exist.
        """
        name = uri.parse(target)
        if name.scheme:
            raise ConfigError("target", str(target), "a path")
        options = dict(name.options)
        self.path = name.path
        self.format = formats.for_writing(self.path, options.pop("format", None))
        unknown = sorted(set(options) - set(self.format.write_options))
        if unknown:
            allowed = ", ".join(("format", *self.format.write_options))
            raise ConfigError(f"option of {name.name}", unknown[0], allowed)
        self.size = size
        self.events = 0
        self._last_us: int | None = None
        if self.path.is_dir():
            raise EventFormatError("this is a directory, expected a file to write", path=self.path)
        self._temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.part")
        try:
            self._file = self._temporary.open("x+b")
        except OSError as error:
            raise EventFormatError(f"cannot be written: {error.strerror}", path=self.path) from None
        try:
            self._writer = self.format.writer(self._file, size, options)
        except BaseException:
            self._remove()
            raise

    def write(self, events: EventArray) -> None:
        """Appends events (N,).

        Raises:
            EventFormatError: they are not of EVENT_DTYPE, outside the sensor, or out of order.
        """
        check_events(events, self.size)
        if not len(events):
            return
        times = events["t"]
        first, last = int(times[0]), int(times[-1])
        if max(-first, last) > MAX_TIME_US:
            raise EventFormatError(f"times run from {first} to {last} µs, expected below 2^62 µs")
        if self._last_us is not None and first < self._last_us:
            raise EventFormatError(
                f"the packet begins at {first} µs, before the last one ended at {self._last_us} µs"
            )
        before = first if self._last_us is None else self._last_us
        gap = max(first - before, int((times[1:] - times[:-1]).max(initial=0)))
        if gap > MAX_GAP_US:
            raise EventFormatError(
                f"no event for {gap / 1e6:.0f} s, expected {MAX_GAP_US // 10**6} s at most; "
                "write two recordings"
            )
        self._writer.write(events)
        self._last_us = last
        self.events += len(events)

    def finish(self) -> None:
        """Completes the file and puts it in its place."""
        try:
            self._writer.finish()
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._temporary, self.path)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Removes what was written."""
        self._writer.close()
        self._remove()

    def _remove(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.discard()


def write_events(target: str | os.PathLike[str], events: EventArray, size: SensorSize) -> None:
    """Writes events (N,) of EVENT_DTYPE to a file, in the format that its suffix names.

    Raises:
        EventFormatError: the events break their type, or the format cannot be written.
    """
    with EventWriter(target, size) as writer:
        writer.write(events)
