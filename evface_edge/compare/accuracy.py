"""Landmarks and latency of every model at every instant of every recording."""

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
from evface_edge.models.choice import choose
from evface_edge.predictor import Predictor
from evface_edge.tracking.event_buffer import EventBuffer
from evface_edge.tracking.network import LandmarkNetwork


@dataclass(frozen=True)
class Entry:
    """A model of the comparison.

    Attributes:
        label: "evface-s-int8", or "evface-s-int8@openvino" with a runtime.
        path: file of the model.
        runtime: name of the runtime; None: chosen automatically.
    """

    label: str
    path: Path
    runtime: str | None

    @classmethod
    def parse(cls, text: str) -> Entry:
        """Parse MODEL or MODEL@RUNTIME.

        Raises:
            ModelError: no such model.
        """
        model, _, runtime = text.partition("@")
        chosen = choose(model, runtime=runtime or None)
        label = "@".join([chosen.path.stem, *([runtime] if runtime else [])])
        return cls(label, chosen.path, chosen.runtime)


@dataclass(frozen=True, eq=False)
class Instants:
    """All N instants of all recordings.

    Attributes:
        recording: (N,) index of the recording.
        t_us: (N,) times.
        truth: (N, 98, 2) ground-truth landmarks in sensor pixels.
    """

    recording: NDArray[np.int64]
    t_us: NDArray[np.int64]
    truth: NDArray[np.float32]

    GROUP_US = 250_000

    @property
    def groups(self) -> NDArray[np.int64]:
        """(N,) group of each instant for the bootstrap: a quarter of a second of a recording.

        Errors within a group are correlated.
        """
        return self.recording * 1_000_000 + self.t_us // self.GROUP_US


@dataclass(frozen=True, eq=False)
class ModelResult:
    """Landmarks and latency of one model.

    Attributes:
        landmarks: (N, 98, 2) sensor pixels, NaN without a face.
        update_ms: (N,) time of one result, from reading events to landmarks.
        latency: latency of the network alone.
        runs_on: description of runtime and device.
    """

    entry: Entry
    card: ModelCard
    landmarks: NDArray[np.float32]
    update_ms: NDArray[np.float64]
    latency: Latency
    runs_on: str


def run_all(
    entries: Sequence[Entry],
    recordings: Sequence[LabelledRecording],
    *,
    rate_hz: float = 50.0,
    seconds: float = 1.0,
    report: Callable[[str], None] = lambda text: None,
) -> tuple[Instants, list[ModelResult]]:
    """Run all models on all recordings with `Predictor`, which searches for the face itself.

    Args:
        rate_hz: instants a second.
        seconds: duration of the latency measurement of each network.
        report: called with a line of progress.

    Raises:
        ConfigError: a model twice, or no events within the time of the labels.
    """
    labels = [entry.label for entry in entries]
    if len(set(labels)) < len(labels):
        raise ConfigError("MODEL", labels, "each model once; name a runtime as MODEL@RUNTIME")
    latencies = _latencies(entries, recordings[0], seconds)
    instants: Instants | None = None
    results = []
    for entry in entries:
        with Predictor(entry.path, runtime=entry.runtime, rate_hz=rate_hz) as predictor:
            predictor.warmup()
            rows: list[tuple[int, int, NDArray[np.float32], NDArray[np.float32], float]] = []
            for index, recording in enumerate(recordings):
                report(f"{entry.label}: {recording.path.name}")
                rows += _instants(predictor, recording, index)
            if not rows:
                raise ConfigError(
                    "--data", str(recordings[0].path), "events within the time of its labels"
                )
            indices, t_us, truth, landmarks, update_ms = (
                list(part) for part in zip(*rows, strict=True)
            )
            instants = instants or Instants(np.array(indices), np.array(t_us), np.stack(truth))
            results.append(
                ModelResult(
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
    predictor: Predictor, recording: LabelledRecording, index: int
) -> list[tuple[int, int, NDArray[np.float32], NDArray[np.float32], float]]:
    rows = []
    no_face = np.full(recording.points.shape[1:], np.nan, np.float32)
    with open_events(recording.path) as source:
        before = time.perf_counter()
        for now_us, faces in predictor.stream(source):
            took_ms = 1e3 * (time.perf_counter() - before)
            if recording.t_us[0] <= now_us <= recording.t_us[-1]:
                landmarks = faces[0].landmarks if faces else no_face
                rows.append((index, now_us, recording.truth(now_us), landmarks, took_ms))
            before = time.perf_counter()
    return rows


def _latencies(
    entries: Sequence[Entry], recording: LabelledRecording, seconds: float
) -> dict[str, Latency]:
    """Measure the networks alone, on one core, interleaved, each on the events of one face."""
    middle = len(recording.t_us) // 2
    now_us, box = int(recording.t_us[middle]), Box.around(recording.points[middle])
    events, _ = read_events(recording.path)
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
