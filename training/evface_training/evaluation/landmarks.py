"""Landmark errors of a model on labelled recordings, through the `Predictor` that users have.

recordings ─▶ predictor ─▶ samples (one a face) ─▶ metrics, bins, curves (`report`, `plots`)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.compare.labelled import LabelledRecording
from evface_edge.errors import ConfigError
from evface_edge.events import open_events, read_events
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box
from evface_edge.head_pose import fit_head_pose
from evface_edge.metrics import flicker, nme68
from evface_edge.predictor import Predictor
from evface_edge.results import FaceLandmarks
from evface_edge.tracking.event_buffer import EventBuffer
from evface_training.data.faces import FaceSet
from evface_training.evaluation.benchmark_sets import BenchmarkRecording, Condition, recordings


@dataclass(frozen=True, eq=False)
class SampleResult:
    """One face at one instant: prediction and label.

    Attributes:
        truth: (98, 2) sensor pixels.
        predicted: (98, 2) sensor pixels; None without a result.
        sigma: (98,) sensor pixels; None without a result.
        presence: 0 to 1; 0 without a result.
        accepted: whether it is a face by the limits of the model's card.
        events: number of events in the window.
        target_events: number of events that the model's window policy aims at.
        lux: light of the scene; NaN if unknown.
        speed_deg_per_s: of the head.
        yaw_deg: of the labelled landmarks.
    """

    name: str
    truth: NDArray[np.float32]
    predicted: NDArray[np.float32] | None
    sigma: NDArray[np.float32] | None
    presence: float
    accepted: bool
    events: int
    target_events: int
    lux: float
    speed_deg_per_s: float
    yaw_deg: float


@dataclass(frozen=True, eq=False)
class SetResult:
    """All samples of one set.

    Attributes:
        flickers: NMF of each unbroken stretch of a recording, as fractions; empty for single
            instants.
    """

    name: str
    samples: list[SampleResult]
    flickers: list[float]


#: Called with each recording, its landmarks (98, 2) and its NME-68.
OnFace = Callable[[BenchmarkRecording, NDArray[np.float32], float], None]


def evaluate_set(
    predictor: Predictor,
    faces: FaceSet,
    condition: Condition,
    *,
    seed: int = 0,
    on_face: OnFace | None = None,
    on_recording: Callable[[], None] = lambda: None,
) -> SetResult:
    """Evaluate the last landmarks of every recording of a benchmark set."""
    samples = []
    for recording in recordings(faces, condition, seed):
        sample = evaluate_recording(predictor, recording)
        samples.append(sample)
        if on_face is not None and sample.predicted is not None:
            error = float(nme68(sample.predicted, sample.truth))
            on_face(recording, sample.predicted, error)
        on_recording()
    return SetResult(condition.name, samples, [])


def evaluate_recording(predictor: Predictor, recording: BenchmarkRecording) -> SampleResult:
    """Evaluate the last landmarks of a recording, predicted in its box."""
    faces = predictor.run(recording.events, size=recording.size, box=recording.box)
    end_us = int(recording.events["t"][-1]) if len(recording.events) else 0
    return _sample(
        predictor,
        recording.name,
        recording.points,
        faces[-1] if len(faces) else None,
        _window(predictor, recording.events, recording.points, end_us),
        lux=recording.lux,
        speed_deg_per_s=recording.speed_deg_per_s,
    )


def evaluate_labelled(predictor: Predictor, recording: LabelledRecording, name: str) -> SetResult:
    """Evaluate every instant of a labelled recording; the face is detected and followed.

    Instants before the first and after the last label do not count. An instant without a face is
    a missing result. NMF is over consecutive instants with a face in each.

    Raises:
        ConfigError: no events within the time of the labels.
    """
    samples: list[SampleResult] = []
    events, _ = read_events(recording.path)
    with open_events(recording.path) as source:
        for now_us, faces in predictor.stream(source):
            if not recording.t_us[0] <= now_us <= recording.t_us[-1]:
                continue
            truth = recording.truth(now_us)
            past = events[: np.searchsorted(events["t"], now_us, side="right")]
            samples.append(
                _sample(
                    predictor,
                    f"{name}@{now_us}",
                    truth,
                    faces[0] if faces else None,
                    _window(predictor, past, truth, now_us),
                    lux=float("nan"),
                    speed_deg_per_s=recording.speed_deg_per_s(now_us),
                )
            )
    if not samples:
        raise ConfigError("--data", str(recording.path), "events within the time of its labels")
    return SetResult(name, samples, list(_flickers(samples)))


def _sample(
    predictor: Predictor,
    name: str,
    truth: NDArray[np.float32],
    face: FaceLandmarks | None,
    window: tuple[int, int],
    *,
    lux: float,
    speed_deg_per_s: float,
) -> SampleResult:
    return SampleResult(
        name=name,
        truth=truth,
        predicted=None if face is None else face.landmarks,
        sigma=None if face is None else face.sigma,
        presence=0.0 if face is None else face.presence,
        accepted=face is not None and _accepted(predictor, face),
        events=window[0],
        target_events=window[1],
        lux=lux,
        speed_deg_per_s=speed_deg_per_s,
        yaw_deg=fit_head_pose(truth).yaw_deg,
    )


def _accepted(predictor: Predictor, face: FaceLandmarks) -> bool:
    card, box = predictor.card, Box.around(face.landmarks)
    spread = float(face.sigma.mean()) / max(box.width, box.height)
    return face.presence >= card.presence_threshold and spread <= card.sigma_limit


def _window(
    predictor: Predictor, events: EventArray, points: NDArray[np.float32], now_us: int
) -> tuple[int, int]:
    """The number of events in the window of a face, and the number that the policy aims at."""
    card = predictor.card
    crop = Box.around(points).square(card.crop_scale)
    buffer = EventBuffer(card.window.max_duration_us)
    buffer.append(events)
    _, count = buffer.window(crop, card.window, now_us)
    return count, card.window.target_events(crop.width * crop.height)


def _flickers(samples: Iterable[SampleResult]) -> Iterator[float]:
    """NMF of each unbroken stretch of two instants or more."""
    stretch: list[SampleResult] = []
    for sample in [*samples, None]:
        if sample is not None and sample.predicted is not None:
            stretch.append(sample)
            continue
        if len(stretch) > 1:
            predicted = np.stack([s.predicted for s in stretch if s.predicted is not None])
            yield flicker(predicted, np.stack([s.truth for s in stretch]))
        stretch = []
