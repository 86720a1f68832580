"""A recording in a file, as a source of events."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from evface_edge.errors import ConfigError, EventFormatError, EventFormatWarning
from evface_edge.events.array import EventArray
from evface_edge.events.damage import Damage, describe_damage
from evface_edge.events.formats.base import Contents
from evface_edge.events.formats.table import Format
from evface_edge.events.limits import MAX_PACKET_EVENTS
from evface_edge.events.source import Counters

#: A file with less data may well have no event.
_NEARLY_EMPTY_BYTES = 64


class Recording:
    """A file whose header was read. Each iteration reads its events from the start.

    What happens at damage is the policy (`damage.py`). Damage that hides the rest of the file, such
    as a truncated archive, ends the reading: with `salvage` and `skip` EventFormatWarning names the
    byte offset; with `strict`, or without any event, it is an EventFormatError.

    Attributes:
        path: of the file.
        format: its row in the table of formats.
        facts: what the reading depends on, and whether it is given, stated, inferred or assumed.
        details: from the header.
        fraction: how much of the file the last iteration has read, 0 to 1.
        policy: what to do about damage.
        damage: that ended the last iteration; None if it read the whole file.
    """

    live = False

    def __init__(self, path: Path, row: Format, contents: Contents, policy: Damage) -> None:
        self.path = path
        self.format = row
        self.size = contents.size
        self.facts = contents.facts
        self.details: Mapping[str, str] = contents.details
        self.counters = Counters()
        self.fraction = 0.0
        self.damage: EventFormatError | None = None
        self._contents = contents
        self.policy = policy
        self._closed = False

    def __iter__(self) -> Iterator[EventArray]:
        """Yields packets of 1 to 65,536 events.

        Raises:
            EventFormatError: damage, with the policy `strict` or before the first event.
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
        validator = Validator(self.path, self.size, skip=self.policy == "skip")
        counters = self.counters
        counters.events = counters.bytes_skipped = counters.times_clamped = 0
        counters.damaged = {}
        self.damage = None
        self.fraction = 0.0
        try:
            for events in validator.in_order(self._contents.packets(validator)):
                counters.bytes_skipped = validator.bytes_skipped
                counters.times_clamped = validator.times_clamped
                if validator.skip:
                    counters.damaged = validator.damaged
                self.fraction = validator.fraction
                for start in range(0, len(events), MAX_PACKET_EVENTS):
                    packet = events[start : start + MAX_PACKET_EVENTS]
                    counters.events += len(packet)
                    yield packet
            self.fraction = 1.0
            counters.bytes_skipped, counters.damaged = validator.bytes_skipped, validator.damaged
            if not counters.events:
                self._explain_nothing(validator.first_chunk)
        except OSError as error:
            counters.damaged = validator.damaged
            self._report(EventFormatError(f"cannot be read further: {error}", path=self.path))
        except EventFormatError as error:
            counters.damaged = validator.damaged
            self._report(error)

    def _explain_nothing(self, chunk: EventFormatError | None) -> None:
        """Raises or warns if a file without events is not empty."""
        counters = self.counters
        if chunk is not None:
            raise chunk
        if counters.damaged:
            found = describe_damage(counters.damaged)
            raise EventFormatError(
                f"has no event that can be true, but {found}: its name or header states the wrong "
                "format or size",
                path=self.path,
            )
        if counters.bytes_skipped > _NEARLY_EMPTY_BYTES:
            raise EventFormatError(
                f"holds {counters.bytes_skipped} bytes that are not {self.format.title}, and no "
                "event: the header names the wrong format, or the file is damaged",
                path=self.path,
            )
        if self._contents.data_bytes > _NEARLY_EMPTY_BYTES:
            message = (
                f"{self.path} holds {self._contents.data_bytes} bytes of {self.format.title}, but "
                "no event: nothing moved, or it is read in a wrong way; see `evface-edge info`"
            )
            warnings.warn(message, EventFormatWarning, stacklevel=3)

    def _report(self, damage: EventFormatError) -> None:
        self.damage = damage
        if self.policy == "strict" or not self.counters.events:
            raise damage
        message = f"{damage}; the {self.counters.events} events before it were read"
        warnings.warn(message, EventFormatWarning, stacklevel=3)

    def close(self) -> None:
        self._closed = True

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
