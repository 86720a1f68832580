"""Accuracy on the events of other simulators: have the students learnt our pixel model?

    python -m benchmarks other_simulators --faces faces/300w_train --count 100 --json other.json
    python -m benchmarks other_simulators                  # with the bundled avatars

Images of people from the validation split are moved, turned and scaled in the image plane, and
converted to events by three models that share no code: frame by frame as in v2e (Hu et al., CVPR
workshops 2021), along lines between log intensities as in ESIM (Rebecq et al., CoRL 2018), and by
the camera of this package. The first two are written from their publications; they are not the
programs of their authors. The result is the NME-68 at the end of each recording, with a given box.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from evface_edge import Predictor
from evface_edge.events.array import EventArray, make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.metrics import nme68
from evface_training.data.avatars import load_avatars
from evface_training.data.faces import CROP_SIDE_PX, FaceSet
from evface_training.data.loading import load_faces
from evface_training.data.split import split_faces
from evface_training.evaluation.benchmark_sets import CONDITIONS
from evface_training.simulation.light import Frame
from evface_training.simulation.recording import one_camera, record

SIZE = SensorSize(CROP_SIDE_PX, CROP_SIDE_PX)
#: Rest at the start, largest motion between two frames, relative jitter of the box.
SETTLE_S, STEP_PX, BOX_JITTER = 0.03, 0.35, 0.04
SPEEDS = ("normal", "fast")

#: Seconds, and the gamma-coded image (H, W), 0 to 255.
Video = Iterator[tuple[float, NDArray[np.float32]]]
Events = list[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], int]]


@dataclass(frozen=True)
class V2e:
    """Frame by frame: linear below code 20, logarithmic above; bandwidth grows with brightness."""

    threshold: float = 0.2
    mismatch: float = 0.03
    cutoff_hz: float = 300.0
    leak_hz: float = 0.01
    shot_hz: float = 0.001
    refractory_s: float = 0.0005

    def __call__(self, video: Video, rng: np.random.Generator) -> EventArray:
        events: Events = []
        before_s, first = next(video)
        on, off = (rng.normal(self.threshold, self.mismatch, first.shape).clip(0.01) for _ in "ab")
        filtered = self._log(first)
        held, last_s = filtered.copy(), np.full(first.shape, -np.inf)
        for now_s, image in video:
            passed_s, bright = now_s - before_s, (image + 20) / 275
            fraction = (bright * passed_s * 2 * math.pi * self.cutoff_hz).clip(max=1.0)
            filtered = filtered + (fraction if self.cutoff_hz else 1.0) * (
                self._log(image) - filtered
            )
            held -= passed_s * self.leak_hz * on
            brighter = np.floor((filtered - held).clip(0) / on).astype(int)
            darker = np.floor((held - filtered).clip(0) / off).astype(int)
            steps = max(int(brighter.max()), int(darker.max()), 1)
            chance = self.shot_hz / 2 * passed_s / steps * (1 - 0.75 * bright)
            for step in range(steps):
                t_s = before_s + passed_s * (step + 1) / steps
                draw = rng.random(first.shape)
                noise = draw > 1 - chance, draw < chance
                free = t_s - last_s > self.refractory_s
                fired = (brighter > step) & free, (darker > step) & free
                held += fired[0] * on - fired[1] * off
                for polarity, own, extra in zip((1, 0), fired, noise, strict=True):
                    held[extra] = filtered[extra]
                    y, x = np.nonzero(own | extra)
                    last_s[y, x] = t_s
                    events.append((np.full(len(x), t_s), x, y, polarity))
            before_s = now_s
        return _sorted(events)

    @staticmethod
    def _log(image: NDArray[np.float32]) -> NDArray[np.float64]:
        codes = np.round(image).astype(np.float64)
        return np.where(codes <= 20, codes * math.log(20) / 20, np.log(codes.clip(1)))


@dataclass(frozen=True)
class Esim:
    """Log intensity is a line between frames; an event wherever it crosses the next level."""

    threshold: float = 0.2
    mismatch: float = 0.03
    refractory_s: float = 0.0001
    linear_light: bool = False

    def __call__(self, video: Video, rng: np.random.Generator) -> EventArray:
        events: Events = []
        before_s, first = next(video)
        light = self._log(first)
        level, last_s = light.copy(), np.full(first.shape, -np.inf)
        steps = [rng.normal(self.threshold, self.mismatch, first.shape).clip(0.01) for _ in "ab"]
        for now_s, image in video:
            new = self._log(image)
            for polarity, sign, step in ((1, 1, steps[0]), (0, -1, steps[1])):
                while True:
                    y, x = np.nonzero(sign * (new - level) >= step)
                    if not len(x):
                        break
                    level[y, x] += sign * step[y, x]
                    # A level that was not crossed because of the dead time is crossed at once.
                    fraction = (level[y, x] - light[y, x]) / (new[y, x] - light[y, x])
                    t_s = before_s + (now_s - before_s) * fraction.clip(0, 1)
                    free = t_s - last_s[y, x] > self.refractory_s
                    y, x, t_s = y[free], x[free], t_s[free]
                    last_s[y, x] = t_s
                    events.append((t_s, x, y, polarity))
            before_s, light = now_s, new
        return _sorted(events)

    def _log(self, image: NDArray[np.float32]) -> NDArray[np.float64]:
        fraction = image.astype(np.float64) / 255
        logarithm: NDArray[np.float64] = np.log(
            (fraction**2.2 if self.linear_light else fraction) + 1e-3
        )
        return logarithm


def ours(video: Video, rng: np.random.Generator) -> EventArray:
    """The camera of this package, drawn as for the benchmark set `normal`."""
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 31)))
    prior = CONDITIONS["normal"].camera
    light = ((t_s, torch.from_numpy(image / 255).pow(2.2)) for t_s, image in video)
    frames = (Frame(round(t_s * 1e6), (linear + 0.01).log()) for t_s, linear in light)
    parts = list(record(frames, one_camera(prior, generator), SIZE, generator, prior.readout))
    return np.concatenate(parts) if parts else make_events([], [], [], [])


SIMULATORS: dict[str, Callable[[Video, np.random.Generator], EventArray]] = {
    "ours": ours,
    "as v2e, its defaults": V2e(),
    "as v2e, clean": V2e(mismatch=0.02, cutoff_hz=0, leak_hz=0, shot_hz=0, refractory_s=0),
    "as v2e, noisy (30 Hz)": V2e(mismatch=0.05, cutoff_hz=30, leak_hz=0.1, shot_hz=5),
    "as ESIM, threshold 0.2": Esim(),
    "as ESIM, 0.5": Esim(threshold=0.5),
    "as ESIM, 0.3, linear light": Esim(threshold=0.3, linear_light=True),
}


def _sorted(events: Events) -> EventArray:
    t_s, x, y = (np.concatenate([one[k] for one in events]) for k in range(3))
    p = np.concatenate([np.full(len(one[0]), one[3]) for one in events])
    t_us = np.round(t_s * 1e6).astype(np.int64)
    order = np.argsort(t_us, kind="stable")
    return make_events(t_us[order], x[order], y[order], p[order])


def video(
    image: NDArray[np.uint8],
    points: NDArray[np.float32],
    condition: str,
    rng: np.random.Generator,
) -> Video:
    """Yield the image as it moves, turns and grows to its own place, at the speed of a set."""
    wanted = CONDITIONS[condition]
    speed = math.exp(rng.uniform(*np.log(wanted.speed_px_per_s)))
    duration_s = min(wanted.max_duration_us * 1e-6, wanted.max_travel_px / speed)
    heading = rng.uniform(0, 2 * math.pi)
    rates = rng.normal(0, [0.3, 0.15]) * speed / 100  # of turning and growing, per second
    source = torch.from_numpy(image)[None, None].float()
    center = points.mean(0, dtype=np.float64)
    steps = max(20, math.ceil(speed * duration_s / STEP_PX))
    for t_s in [0.0, *np.linspace(SETTLE_S, SETTLE_S + duration_s, steps + 1)]:
        left_s = SETTLE_S + duration_s - max(t_s, SETTLE_S)
        angle, growth = -rates * left_s
        shift = -speed * left_s * np.array([math.cos(heading), math.sin(heading)])
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        back = turn * math.exp(-growth)  # from the sensor to the image
        # Both in the units of affine_grid: -1 and 1 are the outer edges.
        middle = (2 * center + 1) / CROP_SIDE_PX - 1
        offset = middle - back @ (middle + 2 * shift / CROP_SIDE_PX)
        matrix = torch.from_numpy(np.column_stack([back, offset])).float()
        grid = F.affine_grid(matrix[None], list(source.shape), align_corners=False)
        shown = F.grid_sample(
            source, grid, mode="bicubic", padding_mode="border", align_corners=False
        )
        yield t_s, shown[0, 0].clamp(0, 255).numpy()


def _box(points: NDArray[np.float32], rng: np.random.Generator) -> Box:
    tight = Box.around(points)
    x, y = np.add(tight.center, rng.normal(0, BOX_JITTER, 2) * max(tight.width, tight.height))
    scale = math.exp(rng.normal(0, BOX_JITTER))
    width, height = tight.width * scale, tight.height * scale
    return Box(x - width / 2, y - height / 2, width, height)


def measure(
    simulate: Callable[[Video, np.random.Generator], EventArray],
    faces: FaceSet,
    predictors: dict[str, Predictor],
    seed: int,
) -> dict[str, Any]:
    """Return the median number of events and, for each model and speed, the mean NME-68 in %."""
    errors: dict[str, list[float]] = {f"{m}, {speed}": [] for m in predictors for speed in SPEEDS}
    counts: list[int] = []
    for index, speed in ((index, speed) for index in range(len(faces)) for speed in SPEEDS):
        rng = np.random.default_rng([seed, index])
        points = faces.points[index]
        events = simulate(video(faces.images[index], points, speed, rng), rng)
        box = _box(points, rng)
        counts.append(len(events))
        for name, predictor in predictors.items():
            predictions = predictor.run(events, size=SIZE, box=box)
            # No prediction counts as an error of 100 %.
            error = nme68(predictions[-1].landmarks, points) if len(predictions) else 1.0
            errors[f"{name}, {speed}"].append(100 * float(error))
    means = {name: round(float(np.mean(values)), 2) for name, values in errors.items()}
    return {"events": float(np.median(counts)), **means}


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    faces = load_avatars()
    if options.faces:
        _, faces = split_faces(load_faces(options.faces, options.cache))
        faces = faces.select(faces.human) if faces.human.any() else faces
    chosen = np.linspace(0, len(faces) - 1, min(options.count, len(faces))).round().astype(int)
    predictors = {name: Predictor(name) for name in options.model}
    rows = []
    for title, simulate in SIMULATORS.items():
        row = measure(simulate, faces.select(chosen), predictors, options.seed)
        rows.append({"simulator": title, **row})
        print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)  # noqa: T201
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--faces", type=Path, action="append", help="Default: bundled avatars.")
    parser.add_argument("--cache", type=Path, help="File for the packed faces.")
    parser.add_argument("--count", type=int, default=100, help="Number of faces.")
    parser.add_argument("--seed", type=int, default=0, help="Random seed.")
    parser.add_argument("--model", nargs="+", default=["evface-s-int8", "evface-n-int8"])
    parser.add_argument("--json", type=Path, help="Write the rows as JSON.")
    return parser.parse_args()


if __name__ == "__main__":
    main()
