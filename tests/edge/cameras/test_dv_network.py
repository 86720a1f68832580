"""DV network streams over loopback: between this package and dv-processing, and damage.

dv-processing runs in a process of its own, as it holds the interpreter while it connects and ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from evface_edge.errors import CameraError, ConfigError, EventFormatError
from evface_edge.events import (
    EventArray,
    EventSource,
    NetworkSender,
    check_events,
    make_events,
    open_events,
)
from evface_edge.events.cameras import dv_network, dv_sender
from evface_edge.events.cameras.dv_network import parse_address
from evface_edge.geometry import SensorSize

SIZE = SensorSize(346, 260)
EPOCH_US = 1_790_000_000_000_000


def sample(count: int) -> EventArray:
    rng = np.random.default_rng(1)
    t = EPOCH_US + np.sort(rng.integers(0, 1_000_000, count))
    return make_events(
        t, rng.integers(0, 346, count), rng.integers(0, 260, count), rng.integers(0, 2, count)
    )


def taken(source: EventSource, count: int) -> EventArray:
    packets: list[EventArray] = []
    for packet in source:
        packets.append(packet)
        if sum(map(len, packets)) >= count:
            break
    return np.concatenate(packets)


def until(done: Callable[[], bool]) -> None:
    limit_s = time.monotonic() + 10
    while not done():
        assert time.monotonic() < limit_s, "waited in vain"
        time.sleep(0.005)


@contextmanager
def python(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Runs code; the block gets the process once that has printed its first line."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready"
            yield process
        finally:
            process.kill()


DV_WRITER = """
import os, sys
import numpy as np
import dv_processing as dv
events = np.load(sys.argv[2])
stream = dv.io.Stream.EventStream(0, "events", "TEST", (346, 260))
writer = dv.io.NetworkWriter("127.0.0.1", int(sys.argv[1]), stream)
print("ready", flush=True)
sys.stdin.readline()
for part in np.array_split(events, 7):
    store = dv.EventStore()
    for event in part.tolist():
        store.push_back(event)
    writer.writeEvents(store)
sys.stdin.readline()
os._exit(0)
"""

DV_READER = """
import sys, time
import numpy as np
import dv_processing as dv
reader = dv.io.NetworkReader("127.0.0.1", int(sys.argv[1]))
assert tuple(reader.getEventResolution()) == (346, 260)
assert reader.getCameraName() == "our <camera> & co", reader.getCameraName()
print("ready", flush=True)
parts = []
while sum(map(len, parts)) < int(sys.argv[3]):
    store = reader.getNextEventBatch()
    if store is None:
        time.sleep(0.001)
    else:
        parts.append(store.numpy().copy())
np.save(sys.argv[2], np.concatenate(parts))
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_reads_dv_processing(tmp_path: Path) -> None:
    pytest.importorskip("dv_processing", reason="dv-processing is not installed")
    events, port = sample(50_000), free_port()
    np.save(tmp_path / "events.npy", events)
    with (
        python(DV_WRITER, port, tmp_path / "events.npy") as writer,
        open_events(f"dv://127.0.0.1:{port}") as source,
    ):
        assert writer.stdin is not None
        assert (source.live, source.size) == (True, SIZE)
        writer.stdin.write("go\n")
        writer.stdin.flush()
        np.testing.assert_array_equal(taken(source, len(events)), events)
        writer.stdin.write("leave\n")
        writer.stdin.flush()
        with pytest.raises(CameraError, match=rf"dv://127\.0\.0\.1:{port}"):
            list(source)


def test_dv_processing_reads_the_sender(tmp_path: Path) -> None:
    pytest.importorskip("dv_processing", reason="dv-processing is not installed")
    events = sample(50_000)
    with NetworkSender("127.0.0.1", 0, SIZE, name="our <camera> & co") as out:
        with python(DV_READER, out.port, tmp_path / "read.npy", len(events)) as reader:
            out.send(events)
            assert reader.wait(20) == 0
        until(lambda: out.readers == 0)
    read = np.load(tmp_path / "read.npy")
    for theirs, ours in (("timestamp", "t"), ("x", "x"), ("y", "y"), ("polarity", "p")):
        np.testing.assert_array_equal(read[theirs], events[ours])


def test_two_readers() -> None:
    events = sample(100_000)
    with NetworkSender("127.0.0.1", 0, SIZE) as out:
        name = f"dv://localhost:{out.port}"
        with open_events(name) as one, open_events(name) as two:
            until(lambda: out.readers == 2)
            out.send(events)
            for source in (one, two):
                np.testing.assert_array_equal(taken(source, len(events)), events)
        assert (out.events, out.events_dropped) == (len(events), 0)


def test_a_stalled_reader_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dv_sender, "_MAX_QUEUED_EVENTS", 1 << 16)
    events = sample(20_000)
    with NetworkSender("127.0.0.1", 0, SIZE) as out:
        with socket.create_connection(("127.0.0.1", out.port)):
            until(lambda: out.readers == 1)
            for _ in range(400):  # 128 MB, more than any buffer of the system
                out.send(events)
            dropped = out.events_dropped
        assert 0 < dropped < 400 * len(events)
        assert dropped % len(events) == 0
        until(lambda: out.readers == 0)
        before = time.monotonic()
    assert time.monotonic() - before < 5


def test_invalid_events_and_ports() -> None:
    with NetworkSender("127.0.0.1", 0, SIZE) as out:
        with pytest.raises(EventFormatError, match=r"\(346, 0\)"):
            out.send(make_events([1], [346], [0], [1]))
        with pytest.raises(CameraError, match=f"127.0.0.1:{out.port}"):
            NetworkSender("127.0.0.1", out.port, SIZE)
    with pytest.raises(ConfigError) as raised:
        NetworkSender("127.0.0.1", 70_000, SIZE)
    assert (raised.value.field, raised.value.value) == ("port", 70_000)


def test_reconnection(monkeypatch: pytest.MonkeyPatch) -> None:
    from evface_edge.events import LiveCounters
    from evface_edge.events.cameras import live

    monkeypatch.setattr(live, "RETRY_S", 0.02)
    events = sample(1000)
    first = NetworkSender("127.0.0.1", 0, SIZE)
    with open_events(f"dv://127.0.0.1:{first.port}?reconnect=1") as source:
        until(lambda: first.readers == 1)
        first.send(events)
        np.testing.assert_array_equal(taken(source, 1000), events)
        first.close()
        with NetworkSender("127.0.0.1", first.port, SIZE) as second:
            until(lambda: second.readers == 1)
            second.send(events)
            again = taken(source, 1000)
        np.testing.assert_array_equal(again["x"], events["x"])
        assert again["t"][0] > events["t"][-1]
        counters = source.counters
    assert isinstance(counters, LiveCounters)
    assert (counters.reconnects, counters.clock_resets) == (1, 1)


@contextmanager
def host(*parts: bytes, stays: bool = False) -> Iterator[str]:
    """A host that sends these bytes to its first reader, then stays connected or not."""
    left = threading.Event()

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            for part in parts:
                connection.sendall(part)
                time.sleep(0.01)
            if stays:
                left.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield f"dv://127.0.0.1:{server.getsockname()[1]}"
        finally:
            left.set()
            thread.join(10)


HEADER = dv_sender._header(SIZE, "test")
PACKET = dv_sender._packet(sample(100))


@pytest.mark.parametrize(
    ("parts", "stays", "message"),
    [
        ((), False, "closed"),
        ((), True, "nothing"),
        ((b"SSH-2.0-OpenSSH_9.9\r\n",), True, "DV network stream"),
        ((HEADER[:100],), False, "closed"),
        ((HEADER[:12] + os.urandom(len(HEADER) - 12),), True, "header"),
        ((b"\xff\xff\xff\x7f" + HEADER[4:],), True, "DV network stream"),
        ((HEADER.replace(b"EVTS", b"FRME"),), True, "FRME.*EVTS"),
        ((HEADER.replace(b"sizeX", b"other"),), True, r"'dv://.*\?width="),
        ((HEADER.replace(b">346<", b">999999<"),), True, "999999"),
    ],
)
def test_hosts_that_send_something_else(
    parts: tuple[bytes, ...], stays: bool, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dv_network, "CONNECT_TIMEOUT_S", 0.2)
    with host(*parts, stays=stays) as name, pytest.raises(CameraError, match=message):
        open_events(name)


def damaged(offset: int, value: bytes) -> bytes:
    return PACKET[:offset] + value + PACKET[offset + len(value) :]


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (PACKET[:50], "within a packet"),
        (PACKET[:3], "within a packet"),
        (damaged(4, b"\xff\xff\xff\xff"), "-1 bytes"),
        (damaged(4, b"\xff\xff\xff\x7f"), "2147483647 bytes"),
        (damaged(16, b"EVTZ"), "EventPacket"),
        (damaged(12, b"\xff\xff\xff\x7f"), "a damaged packet"),
        (damaged(36, b"\xff\xff\xff\x7f"), "a damaged packet"),
    ],
)
def test_damaged_packets(rest: bytes, message: str) -> None:
    with host(HEADER, PACKET, rest) as name, open_events(name) as source:
        got: list[EventArray] = []
        with pytest.raises(CameraError, match=message):
            got.extend(source)
        np.testing.assert_array_equal(np.concatenate(got), sample(100))


def test_packets_in_pieces_and_of_other_streams() -> None:
    other = b"\x05\x00\x00\x00\x10\x00\x00\x00" + bytes(16)
    stream = other + PACKET + other + other + PACKET
    pieces = [stream[start : start + 37] for start in range(0, len(stream), 37)][:150]
    with host(HEADER, *pieces, stream[37 * len(pieces) :]) as name, open_events(name) as source:
        assert len(taken(source, 100)) >= 100
        # The second packet has the times of the first: it is late.
        until(lambda: sum(source.counters.damaged.values()) >= 90)


def test_random_damage_gives_no_invalid_events() -> None:
    rng = np.random.default_rng(3)
    for _ in range(30):
        data = bytearray(PACKET * 2)
        for position in rng.integers(0, len(data), 4):
            data[position] = rng.integers(0, 256)
        with host(HEADER, bytes(data)) as name, open_events(name) as source:
            got: list[EventArray] = []
            with pytest.raises(CameraError):  # at the latest when the sender disconnects
                got.extend(source)
            if got:
                check_events(np.concatenate(got), SIZE)


def test_a_given_size() -> None:
    with (
        host(HEADER.replace(b"sizeX", b"other"), PACKET) as name,
        open_events(f"{name}?width=400&height=300") as source,
    ):
        assert source.size == SensorSize(400, 300)


def test_no_sender() -> None:
    for address in (f"127.0.0.1:{free_port()}", "nowhere.invalid:7777"):
        with pytest.raises(CameraError, match=f"dv://{address}"):
            open_events(f"dv://{address}")


@pytest.mark.parametrize(
    ("text", "address"),
    [("a.b-c:1", ("a.b-c", 1)), ("[::1]:7777", ("::1", 7777)), ("10.0.0.1:65535/", None)],
)
def test_addresses(text: str, address: tuple[str, int] | None) -> None:
    assert parse_address(text) == (address or ("10.0.0.1", 65535))


@pytest.mark.parametrize("text", ["", "host", "host:", ":7777", "host:0", "host:65536", "a:b:1"])
def test_impossible_addresses(text: str) -> None:
    with pytest.raises(ConfigError, match="host:port") as raised:
        parse_address(text)
    assert raised.value.value == text
    with pytest.raises(ConfigError) as raised:
        open_events("dv://127.0.0.1:7777?serial=5")
    assert raised.value.value == "serial"
