"""Head pose, blinks, flicker and lag against our own avatar, whose truth is known.

    python -m benchmarks head_pose [--model M] [--avatars 4] [--seconds 12] [--json FILE]

Simulates each head once at a normal and once at a fast pace (8 and 20 seconds of work for each
second of recording), runs the predictor with and without smoothing, and prints a table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import track

from evface_edge import Predictor
from evface_edge.events.array import EventArray
from evface_edge.head_pose import Intrinsics
from evface_edge.results import Predictions
from evface_edge.results.aspect_ratios import eye_aspect_ratio
from evface_training.avatar import Pose
from evface_training.simulation.presets import PRESETS
from evface_training.simulation.recording import one_camera, record
from evface_training.simulation.synthetic import AvatarScene, SyntheticAvatarSource

LAGS_US = np.arange(-20_000, 42_000, 2_000)
#: A blink found belongs to one of the truth that began so near.
BLINK_MATCH_US = 150_000


class Truth:
    """Labels of one recording, at any instant."""

    def __init__(
        self, scene: AvatarScene, t_us: list[int], points: list[NDArray[np.float32]]
    ) -> None:
        self.scene = scene
        self.t_us, self.points = np.array(t_us), np.stack(points)

    def at(self, t_us: NDArray[np.floating]) -> NDArray[np.float64]:
        first = np.clip(np.searchsorted(self.t_us, t_us) - 1, 0, len(self.t_us) - 2)
        fraction = (t_us - self.t_us[first]) / (self.t_us[first + 1] - self.t_us[first])
        fraction = fraction[:, None, None]
        return (1 - fraction) * self.points[first] + fraction * self.points[first + 1]


def simulate(source: SyntheticAvatarSource) -> tuple[EventArray, Truth]:
    times: list[int] = []
    points: list[NDArray[np.float32]] = []

    def frames() -> Any:
        for labelled in source:
            if labelled.points is not None:
                times.append(labelled.frame.t_us)
                points.append(labelled.points)
            yield labelled.frame

    generator = torch.Generator().manual_seed(source.seed)
    prior = PRESETS["davis346"]
    camera = one_camera(prior, generator)
    packets = list(record(frames(), camera, source.size, generator, prior.readout))
    return np.concatenate(packets), Truth(source.scene(), times, points)


def measure(faces: Predictions, truth: Truth) -> dict[str, float]:
    seen = [face for face in faces if face.state.value != "held"]
    t_us = np.array([face.t_us for face in seen], float)
    points = np.stack([face.landmarks for face in seen]).astype(float)
    right = truth.at(t_us)
    unit = np.linalg.norm(right[:, 60] - right[:, 72], axis=1)
    error = points - right

    def nme(at_us: NDArray[np.floating]) -> float:
        return float((np.linalg.norm(points - truth.at(at_us), axis=2).mean(1) / unit).mean())

    lag = LAGS_US[int(np.argmin([nme(t_us - lag) for lag in LAGS_US]))]
    flicker = np.linalg.norm(np.diff(error, axis=0), axis=2).mean(1) / unit[1:]
    camera = truth.scene.camera
    intrinsics = Intrinsics(
        camera.focal_px, (camera.size.width - 1) / 2, (camera.size.height - 1) / 2
    )
    angles = []
    for face in seen[::5]:
        found = face.head_pose(intrinsics)
        pose: Pose = truth.scene.animation.state(face.t_us)[1]
        angles.append(
            [
                abs(found.yaw_deg - pose.yaw_deg),
                abs(found.pitch_deg - pose.pitch_deg),
                abs(found.roll_deg - pose.roll_deg),
            ]
        )
    yaw, pitch, roll = np.mean(angles, axis=0)
    found_us = np.array([blink.onset_us for blink in faces.blinks()])
    blinks_us = truth.scene.animation.blinks_us
    # Those while the face was lost count as missed.
    inside = (blinks_us > t_us[0] + 100_000) & (blinks_us < truth.t_us[-1] - 400_000)
    expected = blinks_us[inside]
    hits = sum(bool((np.abs(found_us - at) < BLINK_MATCH_US).any()) for at in expected)
    open_error = np.mean(
        [
            abs(sum(eye_aspect_ratio(p)) / 2 - sum(eye_aspect_ratio(r)) / 2)
            for p, r in zip(points[::5], right[::5], strict=True)
        ]
    )
    return {
        "nme98_percent": 100 * nme(t_us),
        "flicker_percent": 100 * float(flicker.mean()),
        "lag_ms": float(lag) / 1000,
        "yaw_error_deg": float(yaw),
        "pitch_error_deg": float(pitch),
        "roll_error_deg": float(roll),
        "eye_openness_error": float(open_error),
        "blinks": float(len(expected)),
        "blinks_hit": float(hits),
        "blinks_found": float(len(found_us)),
    }


def main(
    model: Annotated[str, typer.Option(help="A bundled name or a model file.")] = "evface-s",
    avatars: Annotated[int, typer.Option(help="Identities.")] = 4,
    seconds: Annotated[float, typer.Option(help="Of each recording.")] = 12.0,
    speeds: Annotated[list[str] | None, typer.Option("--speed", help="normal, fast.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first head.")] = 500,
    output: Annotated[Path | None, typer.Option("--json", help="Where the rows go.")] = None,
) -> None:
    rows: dict[str, list[dict[str, float]]] = {}
    jobs = [
        (speed, seed + index) for speed in speeds or ("normal", "fast") for index in range(avatars)
    ]
    for speed, number in track(jobs, "avatars"):
        source = SyntheticAvatarSource(seed=number, speed=speed, seconds=seconds)
        events, truth = simulate(source)
        for smoothing in (False, True):
            with Predictor(model, rate_hz=200, smoothing=smoothing) as predictor:
                faces = predictor.run(events, size=source.size)
            name = f"{speed}, {'smoothed' if smoothing else 'raw'}"
            if len(faces) > 10:
                rows.setdefault(name, []).append(measure(faces, truth))
            else:
                typer.echo(f"{name}, seed {number}: {len(faces)} faces only")
    table = {
        name: {key: float(np.mean([row[key] for row in several])) for key in several[0]}
        for name, several in rows.items()
    }
    for name, several in rows.items():
        hits, expected, found = (
            sum(row[key] for row in several) for key in ("blinks_hit", "blinks", "blinks_found")
        )
        table[name]["blink_f1"] = 2 * hits / max(expected + found, 1)
    for name, row in table.items():
        typer.echo(name)
        typer.echo("  " + "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
    if output is not None:
        output.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    typer.run(main)
