"""A live source with a scripted driver."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from evface_edge.errors import CameraError, ConfigError
from evface_edge.events import EventArray, make_events
from evface_edge.events.cameras import live
from evface_edge.events.cameras.driver import Batch, EndOfStream
from evface_edge.events.cameras.live import LiveSource
from evface_edge.events.cameras.options import LiveOptions
from evface_edge.geometry import SensorSize

SIZE = SensorSize(64, 48)


def numbered(first: int, count: int) -> EventArray:
    index = np.arange(first, first + count)
    return make_events(index, index % 64, index // 64 % 48, index % 2)


def batch(first: int, count: int, **told: int) -> Batch:
    events = numbered(first, count)
    return Batch(events["t"], events["x"], events["y"], events["p"], **told)


class Scripted:
    """Batches, None, exceptions to raise and functions to call; then it waits or ends."""

    def __init__(self, *script: object, size: SensorSize = SIZE, ends: bool = True) -> None:
        self.title, self.size = "scripted camera", size
        self._script, self._ends = list(script), ends
        self.closed = 0
        self.threads = {threading.get_ident()}

    def opened(self) -> Scripted:
        self.threads = {threading.get_ident()}
        return self

    def read(self) -> Batch | None:
        self.threads.add(threading.get_ident())
        if not self._script:
            if self._ends:
                raise EndOfStream
            time.sleep(0.002)
            return None
        step = self._script.pop(0)
        if isinstance(step, Exception):
            raise step
        if callable(step):
            step()
            return None
        assert step is None or isinstance(step, Batch)
        return step

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed += 1


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread for thread in threading.enumerate() if thread.name == "camera"] == []


def test_only_one_thread_uses_the_driver() -> None:
    driver = Scripted(batch(0, 10), None, batch(10, 70_000), batch(70_010, 5))
    with LiveSource(driver.opened, LiveOptions()) as source:
        assert (source.live, source.size, source.title) == (True, SIZE, "scripted camera")
        packets = list(source)
        np.testing.assert_array_equal(np.concatenate(packets), numbered(0, 70_015))
        assert max(map(len, packets)) == 65_536
        counters = source.counters
        assert counters.events == counters.received == 70_015
        assert (counters.events_dropped, counters.backlog_events) == (0, 0)
    assert driver.closed == 1
    assert len(driver.threads) == 1
    assert threading.get_ident() not in driver.threads


def test_a_stalled_consumer_gets_the_newest_packets() -> None:
    done = threading.Event()
    driver = Scripted(*(batch(first, 100) for first in range(0, 10_000, 100)), done.set)
    with LiveSource(driver.opened, LiveOptions(queue_events=1000)) as source:
        assert done.wait(5)
        waiting = source.counters
        assert (waiting.received, waiting.backlog_events, waiting.events) == (10_000, 1000, 0)
        assert (waiting.events_dropped, waiting.packets_dropped) == (9000, 90)
        assert waiting.backlog_us == 999
        np.testing.assert_array_equal(np.concatenate(list(source)), numbered(9000, 1000))
        assert source.counters.events == 1000


def test_losses_reported_by_the_driver() -> None:
    driver = Scripted(
        batch(0, 10, overflows=2, driver_backlog=7, driver_dropped=3),
        batch(10, 0, driver_backlog=1, driver_dropped=1),
        batch(10, 10, overflows=1, driver_backlog=4),
    )
    with LiveSource(driver.opened, LiveOptions()) as source:
        assert len(np.concatenate(list(source))) == 20
        counters = source.counters
    assert (counters.overflows, counters.driver_packets_dropped) == (3, 4)
    assert counters.driver_backlog == 4


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("Pipe\nstack"), "scripted camera.*RuntimeError: Pipe[^\n]*$"),
        (CameraError("the host hung up"), "the host hung up"),
        (AssertionError(), "scripted camera.*AssertionError"),
    ],
)
def test_disconnection_is_raised_after_the_last_event(error: Exception, message: str) -> None:
    driver = Scripted(batch(0, 10), error)
    got: list[EventArray] = []
    with LiveSource(driver.opened, LiveOptions()) as source:
        with pytest.raises(CameraError, match=message):
            got.extend(source)
        assert len(np.concatenate(got)) == 10
    assert driver.closed == 1


def test_reconnection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RETRY_S", 0.01)
    first = Scripted(batch(5000, 10), RuntimeError("unplugged"))
    second = Scripted(batch(0, 10))
    answers: list[Scripted | Exception] = [first, CameraError("not there"), OSError("no"), second]

    def opener() -> Scripted:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer.opened()

    with LiveSource(opener, LiveOptions(reconnect=True)) as source:
        events = np.concatenate(list(source))
        counters = source.counters
    assert len(events) == 20
    assert events["x"][10:].tolist() == numbered(0, 10)["x"].tolist()
    gap_us = int(events["t"][10] - events["t"][9])
    assert 10_000 < gap_us < 5_000_000  # as long as it was away
    assert np.diff(events["t"])[10:].tolist() == [1] * 9
    assert (counters.reconnects, counters.clock_resets) == (1, 1)
    assert (first.closed, second.closed) == (1, 1)


def test_another_camera_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RETRY_S", 0.01)
    drivers = [Scripted(RuntimeError("gone")), Scripted(size=SensorSize(8, 8))]
    queue = list(drivers)
    with (
        LiveSource(lambda: queue.pop(0).opened(), LiveOptions(reconnect=True)) as source,
        pytest.raises(CameraError, match=r"8×8 .*64×48"),
    ):
        list(source)
    assert [driver.closed for driver in drivers] == [1, 1]


def test_closing_during_reconnection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "RETRY_S", 30)
    driver = Scripted(RuntimeError("gone"))
    with caplog.at_level(logging.WARNING), LiveSource(driver.opened, LiveOptions(reconnect=True)):
        while not caplog.records:
            time.sleep(0.005)
    assert driver.closed == 1


def test_closing_ends_a_consumer_in_another_thread() -> None:
    source = LiveSource(Scripted(batch(0, 10), ends=False).opened, LiveOptions())
    got: list[EventArray] = []
    consumer = threading.Thread(target=lambda: got.extend(source))
    consumer.start()
    while not got:
        time.sleep(0.002)
    source.close()
    source.close()
    consumer.join(5)
    assert not consumer.is_alive()
    with pytest.raises(ConfigError) as raised:
        next(iter(source))
    assert raised.value.field == "source"


def test_a_second_iteration_continues() -> None:
    driver = Scripted(batch(0, 10), batch(10, 10), batch(20, 10))
    with LiveSource(driver.opened, LiveOptions()) as source:
        for packet in source:
            assert packet["t"][0] == 0
            break
        assert np.concatenate(list(source))["t"].tolist() == list(range(10, 30))


@pytest.mark.parametrize(
    ("error", "message"),
    [(CameraError("no camera"), "^no camera$"), (OSError("busy"), "OSError: busy")],
)
def test_a_camera_that_is_not_available(error: Exception, message: str) -> None:
    def opener() -> Scripted:
        raise error

    with pytest.raises(CameraError, match=message):
        LiveSource(opener, LiveOptions())


def test_neither_opening_nor_closing_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    monkeypatch.setattr(live, "OPEN_TIMEOUT_S", 0.05)
    monkeypatch.setattr(live, "CLOSE_TIMEOUT_S", 0.05)
    slow = Scripted(ends=False)

    def opener() -> Scripted:
        release.wait(5)
        return slow

    with pytest.raises(CameraError, match=" 0 s"):
        LiveSource(opener, LiveOptions())
    release.set()
    while not slow.closed:  # a camera that opens too late is closed
        time.sleep(0.002)

    monkeypatch.setattr(live, "OPEN_TIMEOUT_S", 5)
    stuck = threading.Event()
    driver = Scripted(lambda: stuck.wait(5))
    with caplog.at_level(logging.WARNING):
        LiveSource(driver.opened, LiveOptions()).close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    stuck.set()
    for thread in threading.enumerate():
        if thread.name == "camera":
            thread.join(5)
    assert driver.closed == 1


def test_a_closed_source_is_garbage_collected() -> None:
    source = LiveSource(Scripted(ends=False).opened, LiveOptions())
    held = weakref.ref(source)
    source.close()
    del source
    gc.collect()
    assert held() is None


def test_counters_add_up_at_any_time() -> None:
    stop = threading.Event()

    class Endless(Scripted):
        first = 0

        def read(self) -> Batch | None:
            if stop.is_set():
                raise EndOfStream
            self.first += 50
            time.sleep(0)
            return batch(self.first - 50, 50)

    def check(source: LiveSource) -> None:
        counters = source.counters
        whole = counters.events + counters.events_dropped + counters.backlog_events
        assert counters.received == whole
        assert counters.backlog_events <= 1000

    driver = Endless()
    with LiveSource(driver.opened, LiveOptions(queue_events=1000)) as source:
        expected = gaps = 0
        for index, packet in enumerate(source):
            check(source)
            assert packet["t"][0] >= expected
            gaps += int(packet["t"][0]) - expected
            expected = int(packet["t"][-1]) + 1
            if index % 20 == 0:
                time.sleep(0.003)
            if index == 300:
                stop.set()
        counters = source.counters
        assert counters.events_dropped == gaps
        assert counters.received == driver.first == expected


def test_options_out_of_range() -> None:
    take: Callable[[dict[str, str]], LiveOptions] = LiveOptions.take
    for wrong in ({"queue_events": "10"}, {"max_lag_us": "5"}, {"reconnect": "perhaps"}):
        with pytest.raises(ConfigError):
            take(dict(wrong))
    options = {"queue_events": "5000", "max_lag_us": "20000", "reconnect": "1", "serial": "7"}
    assert take(options) == LiveOptions(5000, 20_000, True)
    assert options == {"serial": "7"}
