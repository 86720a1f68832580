"""Events in, faces out: `Predictor("evface-s").run(events)`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from evface_edge.card import ModelCard
from evface_edge.errors import ConfigError
from evface_edge.events import open_events
from evface_edge.events.array import EventArray, check_events
from evface_edge.events.source import EventSource
from evface_edge.geometry import Box, SensorSize
from evface_edge.instants import FixedRate, FrameSkipper, Schedule, Timestamps, instants
from evface_edge.models import find_model
from evface_edge.results import FaceLandmarks, Predictions
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.fixed_box import FixedBox
from evface_edge.tracking.network import LandmarkNetwork
from evface_edge.tracking.policy import TrackingPolicy
from evface_edge.tracking.tracker import Tracker

DEFAULT_RATE_HZ = 100.0
#: Nobody can tell a face on fewer pixels than this, either way.
MIN_SENSOR_PX = 16
MAX_RATE_HZ = 1000.0
MAX_FACES = 8


class Predictor:
    """Finds a face in a stream of events, follows it, and gives its 98 landmarks.

    Args:
        model: a bundled name ("evface-s" is its INT8 form, "evface-s-fp32" the other one), or the
            path of an exported model.
        runtime: by default the first that reads such a file.
        device: "auto" takes the first device that is there, and `describe()` says which; a device
            that is named is used or refused.
        threads: of the network.
        rate_hz: results a second, up to 1000; by default 100.
        faces: how many are followed at once, 1 to 8.
        smoothing: whether a Kalman filter takes flicker out of the landmarks of a followed face;
            on the landmarks of a given box it has no effect.
        policy: when faces are searched for, held and given up. A given box uses `still_fraction`,
            `max_hold_us` and `sigma_growth_px_per_s` only.

    A Predictor belongs to the thread that made it; others get an error.

    Raises:
        ModelError: no such model, or one without a fitting card.
        RuntimeUnavailable: the named runtime or device is not there.
        ConfigError: a setting out of range.
    """

    def __init__(
        self,
        model: str | Path = "evface-s",
        *,
        runtime: str | None = None,
        device: str = "auto",
        threads: int = 1,
        rate_hz: float | None = None,
        faces: int = 1,
        smoothing: bool = True,
        policy: TrackingPolicy | None = None,
    ) -> None:
        if not 1 <= faces <= MAX_FACES:
            raise ConfigError("faces", faces, f"1 to {MAX_FACES}")
        self._faces, self._smoothing, self._policy = faces, smoothing, policy
        rate_hz = DEFAULT_RATE_HZ if rate_hz is None else rate_hz
        if not 0 < rate_hz <= MAX_RATE_HZ:
            raise ConfigError("rate_hz", rate_hz, f"above 0, at most {MAX_RATE_HZ:g}")
        self._period_us = round(1e6 / rate_hz)
        self._network = LandmarkNetwork(
            find_model(model), runtime=runtime, device=device, threads=threads
        )
        self._thread = threading.get_ident()

    @property
    def card(self) -> ModelCard:
        return self._network.card

    def describe(self) -> str:
        """What runs on what, in one line."""
        runtime = self._network.runtime
        card = self.card
        return f"{card.name} {card.version} ({card.precision}) on {runtime.name}, {runtime.device}"

    def run(
        self,
        events: EventArray | str | Path | EventSource,
        *,
        size: SensorSize | None = None,
        box: Box | None = None,
        at_us: Iterable[int] | None = None,
    ) -> Predictions:
        """All faces of a recording, or of an array of events.

        Args:
            events: an array of EVENT_DTYPE, a path or URI, or an open source.
            size: of the sensor; needed with an array, and where a file does not tell.
            box: where the face is, if that is known, best tight around the landmarks: then nothing
                is searched for or followed, and every instant has a result. It is looked at twice,
                the second time in the box of the landmarks found; the mean of both is the answer.
            at_us: instants at which results are wanted, rising, in place of the rate; those before
                the first event or after the last have none.

        Returns:
            one entry for each output instant at which there is a face; without `at_us`, the last
            instant is that of the last event.

        Raises:
            ConfigError: no size, or instants that do not rise.
            EventFormatError: events that are damaged, out of order, or outside the sensor.
        """
        with self._open(events, size) as source:
            faces: list[FaceLandmarks] = []
            windows = 0
            for _, found in self.stream(source, box=box, at_us=at_us):
                windows += 1
                faces += found
            return Predictions(faces, size=source.size, model=self.card.name, windows=windows)

    def stream(
        self,
        events: EventArray | str | Path | EventSource,
        *,
        size: SensorSize | None = None,
        box: Box | None = None,
        latest: bool | None = None,
        at_us: Iterable[int] | None = None,
    ) -> Iterator[tuple[int, list[FaceLandmarks]]]:
        """One item for each output instant: (t_us, the faces at that instant).

        Args:
            events, size, box, at_us: as `run` takes them, or a live source; with `at_us` it ends
                after the last of these instants.
            latest: while events wait, instants are skipped for the newest one, so that results do
                not fall behind; by default for live sources only.

        Raises:
            ConfigError: no size, a sensor of fewer than 16 pixels either way, or instants that do
                not rise.
            EventFormatError: the source is damaged, or not in order of time.
        """
        with self._open(events, size) as source:
            yield from self._stream(source, box, latest, at_us)

    def _stream(
        self,
        source: EventSource,
        box: Box | None,
        latest: bool | None,
        at_us: Iterable[int] | None,
    ) -> Iterator[tuple[int, list[FaceLandmarks]]]:
        if min(source.size.width, source.size.height) < MIN_SENSOR_PX:
            raise ConfigError(
                "size", str(source.size), f"a sensor of {MIN_SENSOR_PX} pixels or more either way"
            )
        recent = EventBuffer(self.card.window.max_duration_us)
        tracker: FixedBox | Tracker
        if box is not None:
            tracker = FixedBox(self._network, box, policy=self._policy)
        else:
            tracker = Tracker(
                self._network,
                source.size,
                faces=self._faces,
                smooth=self._smoothing,
                policy=self._policy,
            )
        if latest is None:
            latest = bool(getattr(source, "live", False))
        schedule: Schedule = FixedRate(self._period_us) if at_us is None else Timestamps(at_us)
        for now_us in instants(source, recent, schedule, FrameSkipper(source) if latest else None):
            self._check_thread()
            yield now_us, tracker.update(recent, now_us)

    def watch(
        self,
        events: EventArray | str | Path | EventSource,
        callback: Callable[[int, list[FaceLandmarks]], bool | None],
        *,
        size: SensorSize | None = None,
        box: Box | None = None,
        latest: bool | None = None,
    ) -> None:
        """Call back at each output instant, until the source ends or the callback returns False.

        Args:
            events, size, box, latest: as `stream` takes them.
            callback: gets the time in µs and the faces; runs in the thread that called `watch`.
        """
        for now_us, faces in self.stream(events, size=size, box=box, latest=latest):
            if callback(now_us, faces) is False:
                return

    def _open(self, events: Any, size: SensorSize | None) -> Any:
        if isinstance(events, np.ndarray):
            if size is None:
                raise ConfigError("size", None, "the size of the sensor: SensorSize(width, height)")
            return nullcontext(_ArraySource(check_events(events, size), size))
        if isinstance(events, (str, Path)):
            return open_events(events, size=size)
        return nullcontext(events)

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise ConfigError(
                "Predictor",
                threading.current_thread().name,
                "use from the thread that made it; make one Predictor for each thread",
            )

    def warmup(self) -> None:
        """Compile and allocate everything now rather than with the first events."""
        from evface_edge.events.array import make_events

        side = 64
        grid = np.arange(2 * side * side)
        pixel = grid % (side * side)
        events = make_events(grid, pixel % side, pixel // side, grid % 2)
        self.run(events, size=SensorSize(side, side))

    def close(self) -> None:
        self._network.close()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _ArraySource:
    """One array as a source."""

    live = False

    def __init__(self, events: EventArray, size: SensorSize) -> None:
        self.size = size
        self._events = events

    def __iter__(self) -> Iterator[EventArray]:
        if len(self._events):
            yield self._events
