"""Errors of an artefact on labelled recordings, through the `Predictor` that users have.

recordings ─▶ predictor ─▶ answers (one a face) ─▶ figures, bins, curves (`report`, `plots`)
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
class Answer:
    """What was found of one face at one instant, and the truth.

    Attributes:
        truth: (98, 2) sensor pixels.
        found: (98, 2), and sigma: (98,), sensor pixels; None where there was no answer.
        presence: 0 to 1; 0 without an answer.
        accepted: whether the limits of the model's card take it for a face.
        events: how many events there were, and wanted: how many the model's window asks for.
        lux: light of the scene; NaN where nobody knows. speed_deg_per_s: of the head.
        yaw_deg: of the true landmarks.
    """

    name: str
    truth: NDArray[np.float32]
    found: NDArray[np.float32] | None
    sigma: NDArray[np.float32] | None
    presence: float
    accepted: bool
    events: int
    wanted: int
    lux: float
    speed_deg_per_s: float
    yaw_deg: float


@dataclass(frozen=True, eq=False)
class SetResult:
    """All answers of one set.

    Attributes:
        flickers: NMF of each stretch of video, as fractions; empty where there is none.
    """

    name: str
    answers: list[Answer]
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
    """Run every recording of a benchmark set; the landmarks at its end are compared."""
    answers = []
    for recording in recordings(faces, condition, seed):
        answer = judge(predictor, recording)
        answers.append(answer)
        if on_face is not None and answer.found is not None:
            error = float(nme68(answer.found, answer.truth))
            on_face(recording, answer.found, error)
        on_recording()
    return SetResult(condition.name, answers, [])


def judge(predictor: Predictor, recording: BenchmarkRecording) -> Answer:
    """The last landmarks of a recording, looked for in its box."""
    faces = predictor.run(recording.events, size=recording.size, box=recording.box)
    last = faces[-1] if len(faces) else None
    end_us = int(recording.events["t"][-1]) if len(recording.events) else 0
    seen, wanted = _window(predictor, recording.events, Box.around(recording.points), end_us)
    return _answer(
        predictor,
        recording.name,
        recording.points,
        last,
        events=seen,
        wanted=wanted,
        lux=recording.lux,
        speed_deg_per_s=recording.speed_deg_per_s,
    )


def _answer(
    predictor: Predictor,
    name: str,
    truth: NDArray[np.float32],
    face: FaceLandmarks | None,
    *,
    events: int,
    wanted: int,
    lux: float,
    speed_deg_per_s: float,
) -> Answer:
    return Answer(
        name=name,
        truth=truth,
        found=None if face is None else face.landmarks,
        sigma=None if face is None else face.sigma,
        presence=0.0 if face is None else face.presence,
        accepted=face is not None and _accepted(predictor, face),
        events=events,
        wanted=wanted,
        lux=lux,
        speed_deg_per_s=speed_deg_per_s,
        yaw_deg=fit_head_pose(truth).yaw_deg,
    )


def _accepted(predictor: Predictor, face: FaceLandmarks) -> bool:
    card, box = predictor.card, Box.around(face.landmarks)
    spread = float(face.sigma.mean()) / max(box.width, box.height)
    return face.presence >= card.presence_threshold and spread <= card.sigma_limit


def _window(predictor: Predictor, events: EventArray, box: Box, now_us: int) -> tuple[int, int]:
    """How many events the model had of this face, and how many it wanted."""
    card = predictor.card
    crop = box.square(card.crop_scale)
    recent = EventBuffer(card.window.max_duration_us)
    recent.append(events)
    _, seen = recent.window(crop, card.window, now_us)
    return seen, card.window.target_events(crop.width * crop.height)


def evaluate_video(predictor: Predictor, video: LabelledRecording, name: str) -> SetResult:
    """Every instant of a recording with labels; the face is searched for and followed.

    Before the first and after the last label nothing is compared. An instant without a face is an
    answer that is missing. NMF is over the instants that follow one another with a face in each.
    """
    answers: list[Answer] = []
    events, _ = read_events(video.path)
    with open_events(video.path) as source:
        for now_us, faces in predictor.stream(source):
            if not video.t_us[0] <= now_us <= video.t_us[-1]:
                continue
            truth = video.truth(now_us)
            past = events[: np.searchsorted(events["t"], now_us, side="right")]
            seen, wanted = _window(predictor, past, Box.around(truth), now_us)
            answers.append(
                _answer(
                    predictor,
                    f"{name}@{now_us}",
                    truth,
                    faces[0] if faces else None,
                    events=seen,
                    wanted=wanted,
                    lux=float("nan"),
                    speed_deg_per_s=video.speed_deg_per_s(now_us),
                )
            )
    if not answers:
        raise ConfigError("--data", str(video.path), "events within the time of its labels")
    return SetResult(name, answers, list(_flickers(answers)))


def _flickers(answers: Iterable[Answer]) -> Iterator[float]:
    """NMF of each unbroken stretch of two instants or more."""
    stretch: list[Answer] = []
    for answer in [*answers, None]:
        if answer is not None and answer.found is not None:
            stretch.append(answer)
            continue
        if len(stretch) > 1:
            found = np.stack([a.found for a in stretch if a.found is not None])
            yield flicker(found, np.stack([a.truth for a in stretch]))
        stretch = []
