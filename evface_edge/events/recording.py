"""A recording in a file, as a source of events."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from evface_edge.errors import ConfigError, EventFormatError, EventFormatWarning
from evface_edge.events.array import EventArray
from evface_edge.events.contents import PACKET_EVENTS, Contents
from evface_edge.events.formats import Format
from evface_edge.events.source import Counters


class Recording:
    """A file whose header was read; iterating reads the events, from the start each time.

    Where the file is damaged, the events before the damage are delivered. Then a warning names
    the byte offset; in strict mode, and where there is no event before the damage, it is an error.

    Attributes:
        path: of the file.
        format: its row in the table of formats.
        details: facts from the header, for people.
        fraction: how much of the file the last pass has read so far, 0 to 1.
        damage: what the last pass found wrong; None while nothing was.
    """

    live = False

    def __init__(self, path: Path, row: Format, contents: Contents, *, strict: bool) -> None:
        self.path = path
        self.format = row
        self.size = contents.size
        self.details: Mapping[str, str] = contents.details
        self.counters = Counters()
        self.fraction = 0.0
        self.damage: EventFormatError | None = None
        self._contents = contents
        self._strict = strict
        self._closed = False

    def __iter__(self) -> Iterator[EventArray]:
        """Packets of 1 to 65,536 events.

        Raises:
            EventFormatError: damage, in strict mode or before the first event.
            ConfigError: the recording was closed.
        """
        # Compiled code, hence not at the top.
        from evface_edge.events.guard import Guard

        if self._closed:
            raise ConfigError("source", str(self.path), "a recording that is not closed")
        guard = Guard(self.path, self.size)
        counters = self.counters
        counters.events = counters.bytes_skipped = counters.times_clamped = 0
        self.damage = None
        self.fraction = 0.0
        try:
            for events in self._contents.packets(guard):
                counters.bytes_skipped = guard.bytes_skipped
                counters.times_clamped = guard.times_clamped
                self.fraction = guard.fraction
                for start in range(0, len(events), PACKET_EVENTS):
                    packet = events[start : start + PACKET_EVENTS]
                    counters.events += len(packet)
                    yield packet
            self.fraction = 1.0
            counters.bytes_skipped = guard.bytes_skipped
            if not counters.events and counters.bytes_skipped > 64:
                raise EventFormatError(
                    f"holds {counters.bytes_skipped} bytes that are no {self.format.title}, and "
                    "no event: the header names the wrong format, or the file is damaged",
                    path=self.path,
                )
        except OSError as error:
            damage = EventFormatError(f"cannot be read further: {error}", path=self.path)
            self._report(damage)
        except EventFormatError as error:
            self._report(error)

    def _report(self, damage: EventFormatError) -> None:
        self.damage = damage
        if self._strict or not self.counters.events:
            raise damage
        message = f"{damage}; the {self.counters.events} events before it were read"
        warnings.warn(message, EventFormatWarning, stacklevel=3)

    def close(self) -> None:
        self._closed = True

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
