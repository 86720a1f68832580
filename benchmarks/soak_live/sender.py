"""What sends over the network, as a process of its own."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import deque
from pathlib import Path

import numpy as np

from benchmarks.soak_live.numbered import CODES, PACKET_EVENTS, REMEMBERED, SIZE, Clock, numbered

#: Events that the sender may be ahead of the reader.
IN_FLIGHT = 500_000


def send(port: int, seconds: float, clock_path: Path) -> None:
    """The sender: the same million numbered events again and again, so the time starts anew."""
    import dv_processing as dv

    stream = dv.io.Stream.EventStream(0, "events", "soak", (SIZE.width, SIZE.height))
    writer = dv.io.NetworkWriter("127.0.0.1", port, stream)
    round_events = CODES // PACKET_EVENTS * PACKET_EVENTS
    tail = CODES - round_events
    store = dv.EventStore()
    for first in range(0, CODES, 1 << 17):
        events = numbered(first, min(1 << 17, CODES - first), 1e6)
        deque(map(store.push_back, events.tolist()), maxlen=0)
    packets = [store.slice(first, PACKET_EVENTS) for first in range(0, round_events, PACKET_EVENTS)]
    packets += [store.slice(round_events, tail)] if tail else []
    shared = np.memmap(clock_path, np.float64, "r+", shape=REMEMBERED + 1)
    clock = Clock(shared)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sent = rounds = 0
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        rounds += 1
        for packet in packets:
            # Its queues have no end; without this the memory of the sender would have none.
            while sent - shared[-1] > IN_FLIGHT:
                time.sleep(0.0005)
            clock.note(sent, packet.size())
            writer.writeEvents(packet)
            sent += packet.size()
    while shared[-1] < sent:
        time.sleep(0.005)
    sys.stdout.write(f"{sent} {rounds}\n")
    sys.stdout.flush()
    # No tidy end: its destructor would wait for ever, as a reader is connected.
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("clock", type=Path)
    given = parser.parse_args()
    send(given.port, given.seconds, given.clock)
