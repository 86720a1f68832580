"""A camera as a source of events: drained by its own thread, whatever the consumer does."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from evface_edge.errors import CameraError, ConfigError, EventFormatError, EvfaceError
from evface_edge.events.array import EventArray
from evface_edge.events.cameras.admission import Admission
from evface_edge.events.cameras.driver import Driver, EndOfStream, Opener
from evface_edge.events.cameras.options import LiveOptions
from evface_edge.events.cameras.ring import PacketRing
from evface_edge.events.contents import PACKET_EVENTS, reason
from evface_edge.events.source import Counters

logger = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 3.0
RETRY_S = 0.5


@dataclass
class LiveCounters(Counters):
    """A live source at one moment; `received` is always `events + events_dropped + backlog_events`.

    Attributes:
        received: events that came from the camera and are sound.
        events_dropped: of these, those that were dropped because the consumer was too slow.
        backlog_events: of these, those that wait.
        backlog_us: time between the oldest and the newest event that wait.
        rejected: events that were not taken: outside the sensor, or without a possible time.
        clock_resets: times at which the clock of the camera was set anew; ours goes on.
        reconnects: times at which the camera went away and came back.
        overflows: places at which the driver says that it lost events, before they came here.
        driver_packets_dropped: packets that the driver says it lost.
        driver_backlog: packets that waited inside the driver at the last look.
    """

    received: int = 0
    events_dropped: int = 0
    backlog_events: int = 0
    backlog_us: int = 0
    rejected: int = 0
    clock_resets: int = 0
    reconnects: int = 0
    overflows: int = 0
    driver_packets_dropped: int = 0
    driver_backlog: int = 0


class LiveSource:
    """A camera, network stream or replay, opened.

    It is drained from the moment it is opened. Iterate it from one thread; `counters` and `close`
    may be used from any. Breaking off and iterating again goes on with what waits by then.

    Attributes:
        title: which camera it is, for people.
        size: of the sensor.
    """

    live = True

    def __init__(self, opener: Opener, options: LiveOptions) -> None:
        """
        Raises:
            CameraError: it is not there, or did not open in time.
        """
        self.title = "camera"
        self._opener, self._options = opener, options
        self._ring = PacketRing(options.ring_events, options.max_lag_us)
        self._packet_events = min(PACKET_EVENTS, options.ring_events // 4)
        self._stop = threading.Event()
        self._opened = threading.Event()
        self._driver: Driver | None = None
        self._admission: Admission | None = None
        self._error: Exception | None = None
        self._reconnects = self._overflows = self._driver_dropped = self._driver_backlog = 0
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        try:
            opened = self._opened.wait(OPEN_TIMEOUT_S)
        except BaseException:  # Ctrl-C while it opens
            self._stop.set()
            raise
        if not opened:
            self._stop.set()
            raise CameraError(f"the camera did not open within {OPEN_TIMEOUT_S:.0f} s; replug it")
        if self._driver is None:
            raise self._error or CameraError("the camera did not open")
        self.title, self.size = self._driver.title, self._driver.size
        # A thread inside a driver must not see the interpreter go.
        atexit.register(self.close)

    @property
    def counters(self) -> LiveCounters:
        counts, admission = self._ring.counts(), self._admission
        return LiveCounters(
            events=counts.delivered,
            packets_dropped=counts.packets_dropped,
            times_clamped=admission.times_clamped if admission else 0,
            received=counts.received,
            events_dropped=counts.dropped,
            backlog_events=counts.waiting,
            backlog_us=counts.waiting_us,
            rejected=admission.rejected if admission else 0,
            clock_resets=admission.clock_resets if admission else 0,
            reconnects=self._reconnects,
            overflows=self._overflows,
            driver_packets_dropped=self._driver_dropped,
            driver_backlog=self._driver_backlog,
        )

    def __iter__(self) -> Iterator[EventArray]:
        """Packets of 1 to 65,536 events, the oldest that wait first; ends when closed.

        Raises:
            CameraError: the camera went away, after the last packet that came.
            ConfigError: the source was closed.
        """
        if self._stop.is_set():
            raise ConfigError("source", self.title, "a source that is not closed")
        while not self._stop.is_set():
            packet = self._ring.take()
            if packet is None:
                return
            yield packet

    def close(self) -> None:
        """Stops the thread and frees the camera; waits for that no longer than three seconds."""
        self._stop.set()
        self._ring.finish()
        atexit.unregister(self.close)
        if self._thread is not threading.current_thread():
            self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            logger.warning("%s: its driver does not return; left to itself", self.title)

    def __enter__(self) -> LiveSource:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        """The thread: everything that touches the driver happens here."""
        try:
            driver = self._open()
        except Exception as error:
            self._error = error
            self._opened.set()
            return
        admission = self._admission = Admission(driver.size)
        self._driver = driver
        self._opened.set()
        try:
            self._drain(driver, admission)
        except EndOfStream:
            self._ring.finish()
        except Exception as error:
            self._ring.finish(error)
        finally:
            self._ring.finish()

    def _open(self) -> Driver:
        try:
            return self._opener()
        except EvfaceError:
            raise
        except Exception as error:
            raise CameraError(f"the camera could not be opened: {_told(error)}") from error

    def _drain(self, driver: Driver, admission: Admission) -> None:
        last_s = time.monotonic()
        held: Driver | None = driver
        try:
            while not self._stop.is_set():
                try:
                    batch = driver.read()
                except (EndOfStream, EventFormatError):  # the latter of a replayed recording
                    raise
                except Exception as error:
                    gone = _gone(driver, error)
                    if not self._options.reconnect:
                        raise gone from error
                    _close(driver)
                    held = None
                    held = self._reopen(driver, gone)
                    if held is None:
                        return
                    driver = held
                    continue
                if batch is None:
                    continue
                self._overflows += batch.overflows
                self._driver_dropped += batch.driver_dropped
                self._driver_backlog = batch.driver_backlog
                if not len(batch.t):
                    continue
                now_s = time.monotonic()
                events = admission.admit(batch, round((now_s - last_s) * 1e6))
                last_s = now_s
                for start in range(0, len(events), self._packet_events):
                    self._ring.push(events[start : start + self._packet_events])
        finally:
            if held is not None:
                _close(held)

    def _reopen(self, old: Driver, gone: CameraError) -> Driver | None:
        """Tries until it is back; None when the source was closed meanwhile."""
        logger.warning("%s; waiting for it", gone)
        while not self._stop.wait(RETRY_S):
            try:
                driver = self._open()
            except CameraError as error:
                logger.debug("%s", error)
                continue
            if driver.size != old.size:
                _close(driver)
                raise CameraError(
                    f"{old.title} went away, and {driver.title} with {driver.size} instead of "
                    f"{old.size} pixels came back; open it as a new source"
                )
            self._reconnects += 1
            logger.warning("%s is back", driver.title)
            return driver
        return None


def _gone(driver: Driver, error: Exception) -> CameraError:
    if isinstance(error, CameraError):
        return error
    return CameraError(f"{driver.title} went away: {_told(error)}; check its cable")


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {reason(error)}" if str(error) else type(error).__name__


def _close(driver: Driver) -> None:
    try:
        driver.close()
    except Exception as error:  # of a device that is gone, by whatever library
        logger.debug("closing %s: %s", driver.title, _told(error))
