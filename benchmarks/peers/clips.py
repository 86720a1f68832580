"""Simulated clips: the same faces at every light and speed.

A clip has events, an RGB frame of its last instant by an ordinary camera at the same place, and the
98 ground-truth points of that instant. Still images of other people are used to align the points of
the peers with ours (`points`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box, SensorSize
from evface_training.data.faces import FaceSet
from evface_training.data.loading import load_faces
from evface_training.data.split import split_faces
from evface_training.evaluation.benchmark_sets import (
    CONDITIONS,
    BenchmarkRecording,
    Condition,
    recordings,
)
from evface_training.simulation.frame_camera import FrameCameraPrior

LIGHTS_LUX = ((0.1, 1.0), (1.0, 10.0), (10.0, 100.0), (100.0, 1000.0))
SPEEDS_DEG_PER_S = ((3.0, 10.0), (10.0, 100.0), (100.0, 300.0), (300.0, 1000.0))
#: Below this, the event camera of the set `dark` is used: higher thresholds, more noise.
_DARK_BELOW_LUX = 10.0
#: 100 px/s of a face 96 pixels tall is a turn of about 80 degrees a second.
_PX_PER_DEG = 1.25
_FAST_DEG_PER_S = 100.0
#: Seeds of avatars that no recipe trains on.
_HEADS_SEED = 1_000_000
_VERSION = 1


@dataclass(frozen=True)
class ClipSet:
    """Settings of the clips.

    Attributes:
        data: "avatars", or a folder of annotated faces; human-labelled faces of its validation
            part are used.
        people: number of faces, each in every light and speed.
        stills: number of still images of other people.
        seed: random seed.
    """

    data: str = "avatars"
    people: int = 20
    stills: int = 120
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("people", "stills"):
            if getattr(self, field) < 1:
                raise ConfigError(f"--{field}", getattr(self, field), "1 or more")

    @property
    def file(self) -> str:
        """Name of the cache file."""
        text = json.dumps([dataclasses.asdict(self), LIGHTS_LUX, SPEEDS_DEG_PER_S, _VERSION])
        return f"clips-{hashlib.sha256(text.encode()).hexdigest()[:12]}.npz"


@dataclass(frozen=True, eq=False)
class Clips:
    """N clips on sensors of one size, and M still images of other people.

    Attributes:
        events: events of all clips, one after the other.
        starts: (N + 1,) index of the first event of each clip.
        points: (N, 98, 2) sensor pixels at the end.
        boxes: (N, 4) x, y, width, height.
        lux, speed_deg_per_s: (N,).
        person: (N,) index of the face.
        rgb: (N, S, S, 3) uint8.
        stills: (M, S, S, 3) uint8.
        still_points: (M, 98, 2).
    """

    events: EventArray
    starts: NDArray[np.int64]
    points: NDArray[np.float32]
    boxes: NDArray[np.float64]
    lux: NDArray[np.float64]
    speed_deg_per_s: NDArray[np.float64]
    person: NDArray[np.int64]
    rgb: NDArray[np.uint8]
    stills: NDArray[np.uint8]
    still_points: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.points)

    @property
    def size(self) -> SensorSize:
        return SensorSize(self.rgb.shape[2], self.rgb.shape[1])

    def events_of(self, index: int) -> EventArray:
        return self.events[self.starts[index] : self.starts[index + 1]]

    def box_of(self, index: int) -> Box:
        return Box(*(float(value) for value in self.boxes[index]))

    @classmethod
    def load(cls, path: Path) -> Clips:
        with np.load(path, allow_pickle=False) as stored:
            return cls(**{key: stored[key] for key in stored.files})

    def save(self, path: Path) -> None:
        partial = path.with_name(path.name + ".partial.npz")
        np.savez(partial, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)})
        partial.replace(path)


def load_or_make(
    settings: ClipSet, folder: Path, report: Callable[[str], None]
) -> tuple[Clips, Path]:
    """Return the clips and their file; simulate them unless the file exists."""
    path = folder / settings.file
    if not path.is_file():
        _make(settings, report).save(path)
    return Clips.load(path), path


def condition(light: tuple[float, float], speed: tuple[float, float]) -> Condition:
    """Return the simulation settings of a bin of light and speed."""
    kind = "dark" if light[0] < _DARK_BELOW_LUX else "normal"
    camera = dataclasses.replace(CONDITIONS[kind].camera, lux=light)
    return Condition(
        f"{light[0]:g}-{light[1]:g} lux, {speed[0]:g}-{speed[1]:g} deg/s",
        (speed[0] * _PX_PER_DEG, speed[1] * _PX_PER_DEG),
        camera,
        max_travel_px=24.0 if speed[0] >= _FAST_DEG_PER_S else 14.0,
    )


def _make(settings: ClipSet, report: Callable[[str], None]) -> Clips:
    shown, others = _people(settings)
    made: list[BenchmarkRecording] = []
    for light, speed in product(LIGHTS_LUX, SPEEDS_DEG_PER_S):
        setting = condition(light, speed)
        report(f"clips: {setting.name}")
        made += recordings(shown, setting, settings.seed, frames=FrameCameraPrior())
    return collect(made, np.tile(np.arange(len(shown)), len(made) // len(shown)), others)


def collect(
    made: Sequence[BenchmarkRecording], person: NDArray[np.integer[Any]], others: FaceSet
) -> Clips:
    """Pack recordings and still images into arrays."""
    lengths = [len(one.events) for one in made]
    boxes = [[one.box.x, one.box.y, one.box.width, one.box.height] for one in made]
    return Clips(
        events=np.concatenate([one.events for one in made]),
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        points=np.stack([one.points for one in made]),
        boxes=np.array(boxes, np.float64),
        lux=np.array([one.lux for one in made]),
        speed_deg_per_s=np.array([one.speed_deg_per_s for one in made]),
        person=np.asarray(person, np.int64),
        rgb=np.stack([one.rgb for one in made if one.rgb is not None]),
        stills=in_colour(others.images),
        still_points=np.asarray(others.points, np.float32),
    )


def in_colour(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert images (M, S, S) or (M, S, S, 3) to (M, S, S, 3)."""
    return images if images.ndim == 4 else np.repeat(images[..., None], 3, axis=-1)


def _people(settings: ClipSet) -> tuple[FaceSet, FaceSet]:
    """Return the faces of the clips and those of the still images."""
    torch.set_num_threads(1)
    if settings.data == "avatars":
        from evface_training.avatar.stills import render_stills

        first = _HEADS_SEED + settings.people
        shown = render_stills(range(_HEADS_SEED, first), 1)
        return shown, render_stills(range(first, first + -(-settings.stills // 4)), 4)
    _, kept = split_faces(load_faces([Path(settings.data)], color=True))
    kept = kept.select(kept.human)
    if len(kept) <= settings.people:
        raise ConfigError(
            "--data", f"{len(kept)} human-labelled faces for validation", f"over {settings.people}"
        )
    chosen = np.linspace(0, len(kept) - 1, settings.people).round().astype(int)
    rest = np.setdiff1d(np.arange(len(kept)), chosen)
    some = np.linspace(0, len(rest) - 1, min(settings.stills, len(rest))).round().astype(int)
    return kept.select(chosen), kept.select(rest[some])
