"""Head pose, blinks, flicker and delay of a model on our own avatar, whose pose is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from evface_edge.events.array import EventArray
from evface_edge.head_pose import Intrinsics
from evface_edge.predictor import Predictor
from evface_edge.results import Predictions
from evface_edge.results.aspect_ratios import eye_aspect_ratio
from evface_training.avatar import Pose
from evface_training.simulation.light import Frame
from evface_training.simulation.presets import PRESETS
from evface_training.simulation.recording import one_camera, record
from evface_training.simulation.synthetic import AvatarScene, SyntheticAvatarSource

SPEEDS = ("normal", "fast")
SECONDS = 12.0
RATE_HZ = 200.0
#: Seeds of avatars from here on are in no training.
_SEED = 500
#: Candidate delays of the landmarks.
_DELAYS_US = np.arange(-20_000, 42_000, 2_000)
#: A detected blink matches a true one that starts at most this far from it.
_BLINK_MATCH_US = 150_000
#: Blinks this close to the first result, or to the end, do not count.
_BLINK_MARGIN_US = (100_000, 400_000)
#: Angles and aspect ratios are compared at every fifth result.
_EVERY = 5
#: Fewer results than this are no measurement.
_MIN_RESULTS = 10
_ANGLES = ("yaw_deg", "pitch_deg", "roll_deg")


class AvatarLabels:
    """Labels of one recording of an avatar, at any instant."""

    def __init__(
        self, scene: AvatarScene, t_us: list[int], points: list[NDArray[np.float32]]
    ) -> None:
        self.scene = scene
        self.t_us, self.points = np.array(t_us), np.stack(points)

    def at(self, t_us: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N,) µs → (N, 98, 2) sensor pixels, interpolated."""
        first = np.clip(np.searchsorted(self.t_us, t_us) - 1, 0, len(self.t_us) - 2)
        fraction = (t_us - self.t_us[first]) / (self.t_us[first + 1] - self.t_us[first])
        fraction = fraction[:, None, None]
        points = (1 - fraction) * self.points[first] + fraction * self.points[first + 1]
        return np.asarray(points, np.float64)


def simulate(source: SyntheticAvatarSource) -> tuple[EventArray, AvatarLabels]:
    """The events of an avatar, by a DAVIS346, and its labels."""
    times: list[int] = []
    points: list[NDArray[np.float32]] = []

    def frames() -> Iterator[Frame]:
        for labelled in source:
            if labelled.points is not None:
                times.append(labelled.frame.t_us)
                points.append(labelled.points)
            yield labelled.frame

    generator = torch.Generator().manual_seed(source.seed)
    prior = PRESETS["davis346"]
    camera = one_camera(prior, generator)
    packets = list(record(frames(), camera, source.size, generator, prior.readout))
    return np.concatenate(packets), AvatarLabels(source.scene(), times, points)


def evaluate_head_pose(
    model: str,
    avatars: int,
    *,
    device: str = "auto",
    seconds: float = SECONDS,
    seed: int = 0,
    on_recording: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, float]]:
    """Simulate avatars at two speeds and compare results with the labels.

    Args:
        avatars: how many; each is simulated once at each of `SPEEDS`.
        seconds: of each recording.
        seed: added to the seed of the first avatar.
        on_recording: called after each recording.

    Returns:
        "normal", "normal, without smoothing", "fast", … → metrics by name, means over recordings.
    """
    measured: dict[str, list[dict[str, float]]] = {}
    recordings: dict[str, int] = {}
    for speed in SPEEDS:
        for number in range(avatars):
            source = SyntheticAvatarSource(seed=_SEED + seed + number, speed=speed, seconds=seconds)
            events, labels = simulate(source)
            for smoothing in (True, False):
                name = speed if smoothing else f"{speed}, without smoothing"
                recordings[name] = recordings.get(name, 0) + 1
                with Predictor(
                    model, device=device, rate_hz=RATE_HZ, smoothing=smoothing
                ) as predictor:
                    faces = predictor.run(events, size=source.size)
                rows = measured.setdefault(name, [])
                if len(faces) > _MIN_RESULTS:
                    rows.append(compare(faces, labels))
            on_recording()
    return {
        name: {"recordings": float(recordings[name]), "measured": float(len(rows)), **_mean(rows)}
        for name, rows in measured.items()
    }


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over recordings; numbers of blinks are sums."""
    if not rows:
        return {}
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    for key in ("blinks", "blinks_matched", "blinks_detected"):
        means[key] = sum(row[key] for row in rows)
    either = means["blinks"] + means["blinks_detected"]
    means["blink_f1"] = 2 * means["blinks_matched"] / max(either, 1)
    return means


def compare(faces: Predictions, labels: AvatarLabels) -> dict[str, float]:
    """Metrics of the results that were not held, by name."""
    moving = [face for face in faces if face.state.value != "held"]
    t_us = np.array([face.t_us for face in moving], float)
    points = np.stack([face.landmarks for face in moving]).astype(float)
    truth = labels.at(t_us)
    eye_distance = np.linalg.norm(truth[:, 60] - truth[:, 72], axis=1)
    error = points - truth

    def nme(at_us: NDArray[np.floating]) -> float:
        distance = np.linalg.norm(points - labels.at(at_us), axis=2).mean(1)
        return float((distance / eye_distance).mean())

    delay_us = _DELAYS_US[int(np.argmin([nme(t_us - delay) for delay in _DELAYS_US]))]
    flicker = np.linalg.norm(np.diff(error, axis=0), axis=2).mean(1) / eye_distance[1:]
    camera = labels.scene.camera
    intrinsics = Intrinsics(
        camera.focal_px, (camera.size.width - 1) / 2, (camera.size.height - 1) / 2
    )
    angles = []
    for face in moving[::_EVERY]:
        pose: Pose = labels.scene.animation.state(face.t_us)[1]
        fitted = face.head_pose(intrinsics)
        angles.append([abs(getattr(fitted, name) - getattr(pose, name)) for name in _ANGLES])
    yaw, pitch, roll = np.mean(angles, axis=0)
    detected_us = np.array([blink.onset_us for blink in faces.blinks()])
    blinks_us = labels.scene.animation.blinks_us
    # Blinks while the face is lost count as missed.
    early, late = _BLINK_MARGIN_US
    counted = (blinks_us > t_us[0] + early) & (blinks_us < labels.t_us[-1] - late)
    expected = blinks_us[counted]
    matched = sum(bool((np.abs(detected_us - at) < _BLINK_MATCH_US).any()) for at in expected)
    ear_error = np.mean(
        [
            abs(sum(eye_aspect_ratio(p)) / 2 - sum(eye_aspect_ratio(t)) / 2)
            for p, t in zip(points[::_EVERY], truth[::_EVERY], strict=True)
        ]
    )
    return {
        "nme98_percent": 100 * nme(t_us),
        "flicker_percent": 100 * float(flicker.mean()),
        "delay_ms": float(delay_us) / 1000,
        "yaw_error_deg": float(yaw),
        "pitch_error_deg": float(pitch),
        "roll_error_deg": float(roll),
        "ear_error": float(ear_error),
        "blinks": float(len(expected)),
        "blinks_matched": float(matched),
        "blinks_detected": float(len(detected_us)),
    }
