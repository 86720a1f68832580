"""Events: sources, recordings in files, and windows.

Reading is `open_events`, writing is `write_events` or, packet by packet, `EventWriter`. The table
of formats is `evface_edge.events.formats.FORMATS`.
"""

from evface_edge.events.array import EVENT_DTYPE, EventArray, check_events, make_events
from evface_edge.events.opening import open_events, read_events
from evface_edge.events.source import Counters, EventSource
from evface_edge.events.windows import Window, adaptive, at_rate, by_count, by_duration
from evface_edge.events.writing import EventWriter, write_events

__all__ = [
    "EVENT_DTYPE",
    "Counters",
    "EventArray",
    "EventSource",
    "EventWriter",
    "Window",
    "adaptive",
    "at_rate",
    "by_count",
    "by_duration",
    "check_events",
    "make_events",
    "open_events",
    "read_events",
    "write_events",
]
