"""A recording in a file, as a source of events."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from evface_edge.errors import ConfigError, EventFormatError, EventFormatWarning
from evface_edge.events.array import EventArray
from evface_edge.events.formats.base import Contents
from evface_edge.events.formats.table import Format
from evface_edge.events.limits import MAX_PACKET_EVENTS
from evface_edge.events.source import Counters


class Recording:
    """A file whose header was read. Each iteration reads its events from the start.

    If the file is damaged, the events before the damage are delivered. Then EventFormatWarning
    names the byte offset; in strict mode, or without any event, it is an EventFormatError.

    Attributes:
        path: of the file.
        format: its row in the table of formats.
        details: facts from the header.
        fraction: how much of the file the last iteration has read, 0 to 1.
        damage: found by the last iteration; None without damage.
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
        """Yields packets of 1 to 65,536 events.

        Raises:
            EventFormatError: damage, in strict mode or before the first event.
            ConfigError: the recording was closed.
        """
        # Imports numba, hence not at the top.
        from evface_edge.events.validation import Validator

        if self._closed:
            raise ConfigError(
                "source",
                str(self.path),
                "an open source",
                reason="the source is closed; open it again",
            )
        validator = Validator(self.path, self.size)
        counters = self.counters
        counters.events = counters.bytes_skipped = counters.times_clamped = 0
        self.damage = None
        self.fraction = 0.0
        try:
            for events in self._contents.packets(validator):
                counters.bytes_skipped = validator.bytes_skipped
                counters.times_clamped = validator.times_clamped
                self.fraction = validator.fraction
                for start in range(0, len(events), MAX_PACKET_EVENTS):
                    packet = events[start : start + MAX_PACKET_EVENTS]
                    counters.events += len(packet)
                    yield packet
            self.fraction = 1.0
            counters.bytes_skipped = validator.bytes_skipped
            if not counters.events and counters.bytes_skipped > 64:
                raise EventFormatError(
                    f"holds {counters.bytes_skipped} bytes that are not {self.format.title}, and "
                    "no event: the header names the wrong format, or the file is damaged",
                    path=self.path,
                )
        except OSError as error:
            self._report(EventFormatError(f"cannot be read further: {error}", path=self.path))
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

    def __exit__(self, *exception: object) -> None:
        self.close()
