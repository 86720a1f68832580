"""Writing of recordings: the whole recording, or nothing."""

from __future__ import annotations

import os
import secrets

from evface_edge.errors import ConfigError, EventFormatError
from evface_edge.events import uri
from evface_edge.events.array import EventArray, check_events
from evface_edge.events.formats.table import for_writing
from evface_edge.events.limits import MAX_STEP_FORWARD_US, MAX_TIME_US
from evface_edge.geometry import Size, to_size


class EventWriter:
    """Writes a recording packet by packet; a context manager.

    The events go to a temporary file beside the target, which is renamed to the target at the end
    of the `with` block. After an exception nothing remains.

    Attributes:
        path: the target.
        format: the row in the table of formats.
        events: written so far.
    """

    def __init__(self, target: str | os.PathLike[str], size: Size) -> None:
        """
        Args:
            target: a path. Its suffix defines the format; or name it: `out.raw?format=evt2`.

        Raises:
            EventFormatError: no format with this suffix can be written, or the file cannot be
                created.
            ConfigError: an option that does not exist.
        """
        name = uri.parse(target)
        if name.scheme:
            raise ConfigError("target", str(target), "a path")
        options = dict(name.options)
        self.path = name.path
        self.format = for_writing(self.path, options.pop("format", None))
        unknown = sorted(set(options) - set(self.format.write_options))
        if unknown:
            allowed = ", ".join(("format", *self.format.write_options))
            raise ConfigError(f"option of {name.name}", unknown[0], allowed)
        self.size = to_size(size)
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
            self._writer = self.format.open_writer(self._file, self.size, options)
        except BaseException:
            self._remove()
            raise

    def write(self, events: EventArray) -> None:
        """Appends events (N,).

        Raises:
            EventFormatError: they are invalid, or not after those written before.
        """
        check_events(events, self.size)
        if not len(events):
            return
        times = events["t"]
        first, last = int(times[0]), int(times[-1])
        if max(-first, last) > MAX_TIME_US:
            raise EventFormatError(
                f"the timestamps run from {first} to {last} µs, expected below 2^62 µs"
            )
        if self._last_us is not None and first < self._last_us:
            raise EventFormatError(
                f"the packet starts at {first} µs, before the previous one ended at "
                f"{self._last_us} µs"
            )
        before = first if self._last_us is None else self._last_us
        gap = max(first - before, int((times[1:] - times[:-1]).max(initial=0)))
        if gap > MAX_STEP_FORWARD_US:
            raise EventFormatError(
                f"no event for {gap / 1e6:.0f} s, expected at most "
                f"{MAX_STEP_FORWARD_US // 10**6} s; write two recordings"
            )
        self._writer.write(events)
        self._last_us = last
        self.events += len(events)

    def finish(self) -> None:
        """Completes the file and renames it to the target."""
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

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()


def write_events(target: str | os.PathLike[str], events: EventArray, size: Size) -> None:
    """Writes events (N,) of EVENT_DTYPE to a file, in the format of its suffix.

    Raises:
        EventFormatError: the events are invalid, or the format cannot be written.
    """
    with EventWriter(target, size) as writer:
        writer.write(events)
