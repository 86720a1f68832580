"""The ring, against a list that does the same the slow way."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evface_edge.events import EventArray, make_events
from evface_edge.events.cameras.packet_queue import MAX_PACKETS, PacketQueue


def packet(first: int, count: int) -> EventArray:
    index = np.arange(first, first + count)
    return make_events(index, index % 7, index % 5, index % 2)


@given(
    steps=st.lists(st.one_of(st.integers(1, 40), st.just("take")), max_size=60),
    max_events=st.integers(40, 120),
    max_lag_us=st.one_of(st.none(), st.integers(1, 100)),
)
def test_the_oldest_packets_are_dropped_and_counted(
    steps: list[int | str], max_events: int, max_lag_us: int | None
) -> None:
    ring = PacketQueue(max_events, max_lag_us)
    waiting: list[EventArray] = []
    pushed = delivered = 0
    for step in steps:
        if isinstance(step, int):
            new = packet(pushed, step)
            ring.push(new)
            waiting.append(new)
            pushed += step
            # The longest end of the queue that fits, and is not too old.
            while sum(map(len, waiting)) > max_events:
                waiting.pop(0)
            if max_lag_us is not None:
                waiting = [p for p in waiting if p["t"][-1] >= new["t"][-1] - max_lag_us]
        elif waiting:
            taken = ring.take()
            assert taken is not None
            np.testing.assert_array_equal(taken, waiting.pop(0))
            delivered += len(taken)
        counts = ring.counts()
        assert counts.waiting == sum(map(len, waiting))
        assert counts.received == pushed == counts.delivered + counts.dropped + counts.waiting
        assert counts.delivered == delivered
        span = int(waiting[-1]["t"][-1] - waiting[0]["t"][0]) if waiting else 0
        assert counts.waiting_us == span


def test_the_number_of_packets_is_limited() -> None:
    ring = PacketQueue(10 * MAX_PACKETS)
    for index in range(MAX_PACKETS + 100):
        ring.push(packet(index, 1))
    counts = ring.counts()
    assert (counts.waiting, counts.packets_dropped) == (MAX_PACKETS, 100)
    taken = ring.take()
    assert taken is not None
    assert taken["t"][0] == 100


def test_take_returns_none_after_the_last_packet() -> None:
    ring = PacketQueue(100)
    ring.push(packet(0, 5))
    ring.finish(ValueError("gone"))
    ring.finish()  # the first word counts
    assert ring.take() is not None
    with pytest.raises(ValueError, match="gone"):
        ring.take()
    quiet = PacketQueue(100)
    quiet.finish()
    assert quiet.take() is None


def test_take_waits_for_a_packet() -> None:
    ring = PacketQueue(100)
    taken: list[EventArray | None] = []
    thread = threading.Thread(target=lambda: taken.append(ring.take()))
    thread.start()
    time.sleep(0.02)
    assert not taken
    ring.push(packet(3, 2))
    thread.join(5)
    assert taken[0] is not None
    assert taken[0]["t"].tolist() == [3, 4]


def test_two_threads_count_every_event() -> None:
    ring = PacketQueue(500)
    sizes = np.random.default_rng(0).integers(1, 100, 2000)

    def push() -> None:
        first = 0
        for size in sizes:
            ring.push(packet(first, int(size)))
            first += int(size)
        ring.finish()

    thread = threading.Thread(target=push)
    thread.start()
    expected = gaps = delivered = 0
    while (taken := ring.take()) is not None:
        first = int(taken["t"][0])
        assert first >= expected
        gaps += first - expected
        delivered += len(taken)
        expected = first + len(taken)
    thread.join(5)
    counts = ring.counts()
    assert counts.received == int(sizes.sum()) == delivered + gaps
    assert (counts.delivered, counts.dropped) == (delivered, gaps)
