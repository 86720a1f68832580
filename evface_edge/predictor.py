"""Events in, faces out: `Predictor("evface-s").run(events)`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from numbers import Integral, Real
from pathlib import Path
from types import TracebackType

import numpy as np

from evface_edge.card import ModelCard
from evface_edge.errors import ConfigError, InputTypeError, RuntimeUnavailable
from evface_edge.events.array import make_events
from evface_edge.geometry import Box, BoxLike, SensorSize, Size, to_box
from evface_edge.inputs import Events, open_input
from evface_edge.instants import FixedRate, FrameSkipper, Schedule, Timestamps, instants
from evface_edge.models import find_model
from evface_edge.models.choice import choose
from evface_edge.results import FaceLandmarks, Predictions
from evface_edge.tracking.candidates import CandidateSource
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.fixed_box import FixedBox
from evface_edge.tracking.network import LandmarkNetwork
from evface_edge.tracking.policy import TrackingPolicy
from evface_edge.tracking.tracker import Tracker
from evface_runtimes import Runtime

DEFAULT_RATE_HZ = 100.0
MAX_RATE_HZ = 1000.0
#: On a smaller sensor no face can be recognised.
MIN_SENSOR_PX = 16
MAX_FACES = 8


def _check_number(field: str, value: object, kind: type, expected: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputTypeError(field, value, expected)


class Predictor:
    """Finds a face in a stream of events, follows it, and returns its 98 landmarks.

    A Predictor belongs to the thread that made it; other threads get a ConfigError.

    Args:
        model: name of a bundled model ("evface-s" is the INT8 form, "evface-s-fp32" the other),
            path of an exported model, or a `ModelCard` together with a runtime object.
        runtime: name of a runtime. By default the first that reads the file; for a bundled INT8
            model the fastest one for this processor that is installed, and `describe()` says why.
            Or a runtime object: anything that satisfies `evface_runtimes.Runtime`, such as an
            `evface_runtimes.MockRuntime` in tests. The caller closes it.
        device: a device of the runtime, or "auto" for the first one available; `describe()` names
            it. There is no silent fallback from a device that was named.
        threads: threads of one inference.
        rate_hz: results per second, above 0 to 1000; by default 100.
        faces: largest number of faces followed at once, 1 to 8.
        smoothing: whether a Kalman filter reduces flicker. A given box is never smoothed.
        policy: when faces are searched for, held and given up. For a given box only
            `still_fraction`, `max_hold_us` and `sigma_growth_px_per_s` apply.
        detector: makes the source of candidate boxes for a sensor, in place of the bundled face
            detector.

    Raises:
        ModelError: no such model, or its card is missing or does not fit.
        RuntimeUnavailable: the runtime or the device is not available.
        InputTypeError: a setting of a wrong type.
        ConfigError: a setting out of range.
    """

    def __init__(
        self,
        model: str | Path | ModelCard = "evface-s",
        *,
        runtime: str | Runtime | None = None,
        device: str = "auto",
        threads: int = 1,
        rate_hz: float | None = None,
        faces: int = 1,
        smoothing: bool = True,
        policy: TrackingPolicy | None = None,
        detector: Callable[[SensorSize], CandidateSource] | None = None,
    ) -> None:
        if not isinstance(model, (str, os.PathLike, ModelCard)):
            raise InputTypeError("model", model, "a name, a path or a ModelCard")
        _check_number("faces", faces, Integral, f"an integer, 1 to {MAX_FACES}")
        if not 1 <= faces <= MAX_FACES:
            raise ConfigError("faces", faces, f"1 to {MAX_FACES}")
        rate_hz = DEFAULT_RATE_HZ if rate_hz is None else rate_hz
        _check_number("rate_hz", rate_hz, Real, f"a number above 0, at most {MAX_RATE_HZ:g}")
        if not 0 < rate_hz <= MAX_RATE_HZ:
            raise ConfigError("rate_hz", rate_hz, f"above 0, at most {MAX_RATE_HZ:g}")
        self._faces, self._smoothing, self._policy = faces, smoothing, policy
        self._detector = detector
        self._period_us = round(1e6 / rate_hz)
        self._reason = ""
        if isinstance(model, ModelCard):
            source: Path | ModelCard = model
        elif runtime is None or isinstance(runtime, str):
            chosen = choose(model, runtime=runtime, device=device)
            source, runtime, self._reason = chosen.path, chosen.runtime, chosen.reason
        else:
            source = find_model(model)
        self._network = LandmarkNetwork(
            source,
            runtime=runtime,
            device=device,
            threads=threads,
        )
        self._thread = threading.get_ident()
        self._closed = False

    @property
    def card(self) -> ModelCard:
        """The card of the model."""
        return self._network.card

    def describe(self) -> str:
        """Model, version, precision, runtime and device in one line, and why this runtime."""
        runtime, card = self._network.runtime, self.card
        text = f"{card.name} {card.version} ({card.precision}) on {runtime.name}, {runtime.device}"
        return text + (f" ({self._reason})" if self._reason else "")

    def run(
        self,
        events: Events,
        *,
        size: Size | None = None,
        box: BoxLike | None = None,
        at_us: Iterable[int] | None = None,
    ) -> Predictions:
        """All faces of a recording, or of events in memory.

        Args:
            events: an array of EVENT_DTYPE, a data frame or array of records with integer columns
                t, x, y, p, a path or URI, or an open source.
            size: of the sensor, a SensorSize or (width, height). Needed for events in memory, and
                for files that do not contain it.
            box: the face box if it is known, best tight around the landmarks: a Box, or
                (x, y, width, height) in pixels. Then no face is searched for or followed, and
                every instant from the first event in it on has a result: the mean of an inference
                in this box and one in the box of the landmarks found; held while there are few
                events, and none after `max_hold_us` of them.
            at_us: output instants in µs, increasing, in place of the rate. Instants before the
                first event or after the last one have no result.

        Returns:
            one entry for each face at each output instant. Without `at_us` the last instant is
            that of the last event.

        Raises:
            InputTypeError: an argument of an unsupported type.
            ConfigError: no size, a box beside the sensor, or instants that do not increase.
            EventFormatError: events that are damaged, out of order, or outside the sensor.
            RuntimeUnavailable: the Predictor is closed.
        """
        with open_input(events, size) as source:
            faces: list[FaceLandmarks] = []
            windows = 0
            for _, found in self.stream(source, box=box, at_us=at_us):
                windows += 1
                faces += found
            return Predictions(faces, size=source.size, model=self.card.name, windows=windows)

    def stream(
        self,
        events: Events,
        *,
        size: Size | None = None,
        box: BoxLike | None = None,
        latest: bool | None = None,
        at_us: Iterable[int] | None = None,
    ) -> Iterator[tuple[int, list[FaceLandmarks]]]:
        """One item for each output instant: (t_us, the faces at that instant).

        Args:
            events, size, box, at_us: as for `run`; the source may be live. With `at_us` the
                stream ends after the last instant.
            latest: whether instants are skipped while newer events wait, so that results do not
                fall behind; by default for live sources only.

        Raises:
            InputTypeError, ConfigError, EventFormatError: as for `run`; ConfigError also for a
                sensor with a side of fewer than 16 pixels.
        """
        # Checked at the call; what follows runs at the first iteration.
        self._check_open()
        return self._track(events, size, None if box is None else to_box(box), latest, at_us)

    def _track(
        self,
        events: Events,
        size: Size | None,
        box: Box | None,
        latest: bool | None,
        at_us: Iterable[int] | None,
    ) -> Iterator[tuple[int, list[FaceLandmarks]]]:
        with open_input(events, size) as source:
            if min(source.size.width, source.size.height) < MIN_SENSOR_PX:
                raise ConfigError(
                    "size",
                    str(source.size),
                    f"a sensor of at least {MIN_SENSOR_PX} pixels per side",
                )
            if box is not None and not box.fraction_inside(
                Box(-0.5, -0.5, source.size.width, source.size.height)
            ):
                raise ConfigError(
                    "box",
                    (box.x, box.y, box.width, box.height),
                    f"a box that overlaps the {source.size} sensor",
                )
            buffer = EventBuffer(self.card.window.max_duration_us)
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
                    candidates=None if self._detector is None else self._detector(source.size),
                )
            if latest is None:
                latest = bool(getattr(source, "live", False))
            schedule: Schedule = FixedRate(self._period_us) if at_us is None else Timestamps(at_us)
            for now_us in instants(
                source, buffer, schedule, FrameSkipper(source) if latest else None
            ):
                self._check_thread()
                self._check_open()
                yield now_us, tracker.update(buffer, now_us)

    def watch(
        self,
        events: Events,
        callback: Callable[[int, list[FaceLandmarks]], bool | None],
        *,
        size: Size | None = None,
        box: BoxLike | None = None,
        latest: bool | None = None,
    ) -> None:
        """Call a function at each output instant, until the source ends or it returns False.

        Args:
            events, size, box, latest: as for `stream`.
            callback: called with the time in µs and the faces, in the thread of the caller.
        """
        for now_us, faces in self.stream(events, size=size, box=box, latest=latest):
            if callback(now_us, faces) is False:
                return

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise ConfigError(
                "thread",
                threading.current_thread().name,
                "the thread that made this Predictor",
                fix="make one Predictor for each thread",
            )

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeUnavailable(
                "this Predictor is closed", field="closed", value=True, fix="create a new one"
            )

    def warmup(self) -> None:
        """Compile and allocate everything now, so that the first result is not late."""
        side = 64
        count = np.arange(2 * side * side)
        pixel = count % (side * side)
        events = make_events(count, pixel % side, pixel // side, count % 2)
        self.run(events, size=SensorSize(side, side))

    def close(self) -> None:
        """Release the network; a runtime object that was passed in stays open."""
        self._closed = True
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
