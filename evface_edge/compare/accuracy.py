"""Every artefact at every instant of every recording: what it found, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.bench.latency import Latency, measure, pinned
from evface_edge.card import ModelCard
from evface_edge.compare.labelled import LabelledRecording
from evface_edge.errors import ConfigError
from evface_edge.events import open_events, read_events
from evface_edge.geometry import Box
from evface_edge.models import find_model
from evface_edge.predictor import Predictor
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.network import LandmarkNetwork


@dataclass(frozen=True)
class Entry:
    """An artefact that takes part.

    Attributes:
        label: "evface-s-int8", or "evface-s-int8@openvino" where a runtime was named.
    """

    label: str
    path: Path
    runtime: str | None

    @classmethod
    def parse(cls, text: str) -> Entry:
        """MODEL or MODEL@RUNTIME.

        Raises:
            ModelError: no such model.
        """
        model, _, runtime = text.partition("@")
        path = find_model(model)
        return cls("@".join([path.stem, *([runtime] if runtime else [])]), path, runtime or None)


@dataclass(frozen=True, eq=False)
class Instants:
    """All instants of all recordings, N of them.

    Attributes:
        recording: (N,) index; t_us: (N,); truth: (N, 98, 2) sensor pixels.
        groups: (N,) a number for each quarter of a second of a recording: what lies in one is
            much alike.
    """

    recording: NDArray[np.int64]
    t_us: NDArray[np.int64]
    truth: NDArray[np.float32]

    GROUP_US = 250_000

    @property
    def groups(self) -> NDArray[np.int64]:
        return self.recording * 1_000_000 + self.t_us // self.GROUP_US


@dataclass(frozen=True, eq=False)
class Found:
    """What one artefact made of them.

    Attributes:
        landmarks: (N, 98, 2) sensor pixels, NaN where there was no face.
        update_ms: (N,) from the events since the instant before to landmarks.
        latency: of the network alone.
        runs_on: in words.
    """

    entry: Entry
    card: ModelCard
    landmarks: NDArray[np.float32]
    update_ms: NDArray[np.float64]
    latency: Latency
    runs_on: str


def run_all(
    entries: Sequence[Entry],
    videos: Sequence[LabelledRecording],
    *,
    rate_hz: float = 50.0,
    seconds: float = 1.0,
    report: Callable[[str], None] = lambda text: None,
) -> tuple[Instants, list[Found]]:
    """Search, follow and compare, as `Predictor` does it with smoothing.

    Args:
        rate_hz: instants a second.
        seconds: that the network of each is measured for.

    Raises:
        ConfigError: an artefact twice, or no event within the time of the landmarks.
    """
    labels = [entry.label for entry in entries]
    if len(set(labels)) < len(labels):
        raise ConfigError("MODEL", labels, "each model once; name a runtime as MODEL@RUNTIME")
    latencies = _latencies(entries, videos[0], seconds)
    instants: Instants | None = None
    results = []
    for entry in entries:
        with Predictor(entry.path, runtime=entry.runtime, rate_hz=rate_hz) as predictor:
            predictor.warmup()
            rows: list[tuple[int, int, NDArray[np.float32], NDArray[np.float32], float]] = []
            for index, video in enumerate(videos):
                report(f"{entry.label}: {video.path.name}")
                rows += _instants(predictor, video, index)
            if not rows:
                raise ConfigError("--data", str(videos[0].path), "events in the time of its labels")
            recording, t_us, truth, landmarks, update_ms = (
                list(part) for part in zip(*rows, strict=True)
            )
            instants = instants or Instants(np.array(recording), np.array(t_us), np.stack(truth))
            results.append(
                Found(
                    entry,
                    predictor.card,
                    np.stack(landmarks),
                    np.array(update_ms),
                    latencies[entry.label],
                    predictor.describe(),
                )
            )
    if instants is None:
        raise ConfigError("MODEL", labels, "one or more")
    return instants, results


def _instants(
    predictor: Predictor, video: LabelledRecording, index: int
) -> list[tuple[int, int, NDArray[np.float32], NDArray[np.float32], float]]:
    rows = []
    nothing = np.full(video.points.shape[1:], np.nan, np.float32)
    with open_events(video.path) as source:
        before = time.perf_counter()
        for now_us, faces in predictor.stream(source):
            took_ms = 1e3 * (time.perf_counter() - before)
            if video.t_us[0] <= now_us <= video.t_us[-1]:
                landmarks = faces[0].landmarks if faces else nothing
                rows.append((index, now_us, video.truth(now_us), landmarks, took_ms))
            before = time.perf_counter()
    return rows


def _latencies(
    entries: Sequence[Entry], video: LabelledRecording, seconds: float
) -> dict[str, Latency]:
    """Of the networks alone, on one core, in turns, each on the events of one true face."""
    middle = len(video.t_us) // 2
    now_us, box = int(video.t_us[middle]), Box.around(video.points[middle])
    events, _ = read_events(video.path)
    past = events[: np.searchsorted(events["t"], now_us, side="right")]
    networks: dict[str, LandmarkNetwork] = {}
    with pinned():
        try:
            calls = {}
            for entry in entries:
                network = LandmarkNetwork(entry.path, runtime=entry.runtime)
                networks[entry.label] = network
                recent = EventBuffer(network.card.window.max_duration_us)
                recent.append(past)
                crop = network.crop(recent, box, now_us)
                feed = network.feed([crop])
                calls[entry.label] = lambda run=network.runtime.run, feed=feed: run(feed)
            return measure(calls, seconds=seconds)
        finally:
            for network in networks.values():
                network.close()
