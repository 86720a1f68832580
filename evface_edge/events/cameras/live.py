"""A camera as a source of events, which is read by a thread of its own."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Iterator

from evface_edge.errors import (
    CameraError,
    ConfigError,
    EventFormatError,
    EvfaceError,
    first_line,
)
from evface_edge.events.array import EventArray
from evface_edge.events.cameras.driver import Driver, EndOfStream, Opener
from evface_edge.events.cameras.options import LiveOptions
from evface_edge.events.cameras.packet_queue import PacketQueue
from evface_edge.events.cameras.validation import BatchValidator
from evface_edge.events.damage import Damage, describe_damage
from evface_edge.events.limits import MAX_PACKET_EVENTS
from evface_edge.events.source import LiveCounters

logger = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 3.0
RETRY_S = 0.5


class LiveSource:
    """An open camera, network stream or replay.

    It is read from the moment it is opened. Iterate it in one thread; `counters` and `close` may
    be used in any. A second iteration continues with the waiting packets.

    Attributes:
        title: name and serial number of the camera, for people.
        size: of the sensor.
    """

    live = True

    def __init__(self, opener: Opener, options: LiveOptions, damage: Damage = "skip") -> None:
        """
        Raises:
            CameraError: it is not available, or does not open in time.
        """
        self.title = "camera"
        self._opener, self._options, self._damage = opener, options, damage
        self._queue = PacketQueue(options.queue_events, options.max_lag_us)
        self._packet_events = min(MAX_PACKET_EVENTS, options.queue_events // 4)
        self._stop = threading.Event()
        self._opened = threading.Event()
        self._driver: Driver | None = None
        self._validator: BatchValidator | None = None
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
        # The interpreter must not exit while a thread is inside a driver.
        atexit.register(self.close)

    @property
    def counters(self) -> LiveCounters:
        counts, validator = self._queue.counts(), self._validator
        return LiveCounters(
            events=counts.delivered,
            packets_dropped=counts.packets_dropped,
            times_clamped=validator.times_clamped if validator else 0,
            received=counts.received,
            events_dropped=counts.dropped,
            backlog_events=counts.waiting,
            backlog_us=counts.waiting_us,
            damaged=validator.damaged if validator else {},
            clock_resets=validator.clock_resets if validator else 0,
            reconnects=self._reconnects,
            overflows=self._overflows,
            driver_packets_dropped=self._driver_dropped,
            driver_backlog=self._driver_backlog,
        )

    def __iter__(self) -> Iterator[EventArray]:
        """Yields packets of 1 to 65,536 events, the oldest first, until it is closed.

        Raises:
            CameraError: the camera was disconnected; after its last packet.
            ConfigError: the source was closed.
        """
        if self._stop.is_set():
            raise ConfigError(
                "source",
                self.title,
                "an open source",
                reason="the source is closed; open it again",
            )
        while not self._stop.is_set():
            packet = self._queue.take()
            if packet is None:
                return
            yield packet

    def close(self) -> None:
        """Stops the thread and releases the camera; waits for that for at most three seconds."""
        self._stop.set()
        self._queue.finish()
        atexit.unregister(self.close)
        if self._thread is not threading.current_thread():
            self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            logger.warning("%s: its driver does not return, and is not closed", self.title)

    def __enter__(self) -> LiveSource:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _run(self) -> None:
        """Runs in the thread, the only one that uses the driver."""
        try:
            driver = self._open()
        except Exception as error:
            self._error = error
            self._opened.set()
            return
        validator = self._validator = BatchValidator(driver.size)
        self._driver = driver
        self._opened.set()
        try:
            self._drain(driver, validator)
        except EndOfStream:
            self._queue.finish()
        except Exception as error:
            self._queue.finish(error)
        finally:
            self._queue.finish()

    def _check_damage(self, validator: BatchValidator) -> None:
        """Ends the stream at damage, unless the policy is `skip`."""
        if self._damage == "skip" or not validator.damaged:
            return
        damage = EventFormatError(f"{self.title} sent {describe_damage(validator.damaged)}")
        if self._damage == "strict":
            raise damage
        logger.warning("%s; the events before it were used", damage)
        raise EndOfStream

    def _open(self) -> Driver:
        try:
            return self._opener()
        except EvfaceError:
            raise
        except Exception as error:
            raise CameraError(f"the camera could not be opened: {_describe(error)}") from error

    def _drain(self, driver: Driver, validator: BatchValidator) -> None:
        last_s = time.monotonic()
        opened: Driver | None = driver
        try:
            while opened is not None and not self._stop.is_set():
                try:
                    batch = opened.read()
                except (EndOfStream, EventFormatError):  # the latter from a replayed recording
                    raise
                except Exception as error:
                    disconnected, broken = _disconnected(opened, error), opened
                    if not self._options.reconnect:
                        raise disconnected from error
                    opened = None
                    _close(broken)
                    opened = self._reopen(broken, disconnected)
                    validator.expect_reset()
                    continue
                if batch is None:
                    continue
                self._overflows += batch.overflows
                self._driver_dropped += batch.driver_dropped
                self._driver_backlog = batch.driver_backlog
                if not len(batch.t):
                    continue
                now_s = time.monotonic()
                events = validator.validate(batch, round((now_s - last_s) * 1e6))
                last_s = now_s
                if self._damage != "strict" or not validator.damaged:
                    for start in range(0, len(events), self._packet_events):
                        self._queue.push(events[start : start + self._packet_events])
                self._check_damage(validator)
        finally:
            if opened is not None:
                _close(opened)

    def _reopen(self, old: Driver, disconnected: CameraError) -> Driver | None:
        """Tries to open the camera until it succeeds; None if the source is closed meanwhile."""
        logger.warning("%s; waiting for it", disconnected)
        while not self._stop.wait(RETRY_S):
            try:
                driver = self._open()
            except CameraError as error:
                logger.debug("%s", error)
                continue
            if driver.size != old.size:
                _close(driver)
                raise CameraError(
                    f"{old.title} was disconnected, and {driver.title} with {driver.size} instead "
                    f"of {old.size} pixels was connected; open it as a new source"
                )
            self._reconnects += 1
            logger.warning("%s is connected again", driver.title)
            return driver
        return None


def _disconnected(driver: Driver, error: Exception) -> CameraError:
    if isinstance(error, CameraError):
        return error
    return CameraError(f"{driver.title} was disconnected ({_describe(error)}): check its cable")


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}" if str(error) else type(error).__name__


def _close(driver: Driver) -> None:
    try:
        driver.close()
    except Exception as error:  # libraries may raise anything after a disconnection
        logger.debug("closing %s: %s", driver.title, _describe(error))
