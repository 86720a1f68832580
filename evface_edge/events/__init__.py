"""Event streams: reading and writing of recordings, cameras, windows.

`open_events` opens any source, `read_events` reads a whole recording, `write_events` and, packet
by packet, `EventWriter` write one. The table of formats is `evface_edge.events.formats.table`,
that of cameras `evface_edge.events.cameras.table`.
"""

from evface_edge.events.array import EVENT_DTYPE, EventArray, check_events, make_events
from evface_edge.events.cameras.dv_sender import NetworkSender
from evface_edge.events.opening import open_camera, open_events, read_events
from evface_edge.events.recording import Recording
from evface_edge.events.source import Counters, EventSource, LiveCounters
from evface_edge.events.statistics import Gap, HotPixel, Statistics, compute_statistics
from evface_edge.events.windows import Window, adaptive, at_rate, by_count, by_duration
from evface_edge.events.writing import EventWriter, write_events

__all__ = [
    "EVENT_DTYPE",
    "Counters",
    "EventArray",
    "EventSource",
    "EventWriter",
    "Gap",
    "HotPixel",
    "LiveCounters",
    "NetworkSender",
    "Recording",
    "Statistics",
    "Window",
    "adaptive",
    "at_rate",
    "by_count",
    "by_duration",
    "check_events",
    "compute_statistics",
    "make_events",
    "open_camera",
    "open_events",
    "read_events",
    "write_events",
]
