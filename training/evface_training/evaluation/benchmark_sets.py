"""Benchmark sets: short recordings of still faces in motion, simulated from a seed.

Each is an event list with the ground truth at its end, and an optional RGB frame of that instant.
They use the list form of the camera and heads that turn exactly at every instant, so they share
only the distribution of motions with training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.events.array import EVENT_DTYPE, EventArray
from evface_edge.geometry import Box, SensorSize
from evface_training.data.faces import CROP_SIDE_PX, FaceSet
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.frame_camera import FrameCameraPrior
from evface_training.simulation.lids import Blinking, fit_eyelids, sample_blinks
from evface_training.simulation.light import Frame, with_flicker
from evface_training.simulation.motion import MotionPrior, sample_motion
from evface_training.simulation.occluders import occluder_bank, sample_passing
from evface_training.simulation.recording import one_camera, record
from evface_training.simulation.relief import fit_head
from evface_training.simulation.scene import SceneRenderer, Scenes, crop_fields, exposed
from evface_training.simulation.tone import Tone, grey

#: Edges of the bins of light and of speed in which results are reported.
LIGHT_BINS_LUX = (1.0, 10.0, 100.0)
SPEED_BINS_DEG_PER_S = (10.0, 100.0, 300.0)
_TONE = Tone(gamma=torch.full((1, 1, 1, 1), 2.2), stray=torch.full((1, 1, 1, 1), 0.01))
_GRID = 65


@dataclass(frozen=True)
class Condition:
    """Light, speed and difficulties of a benchmark set.

    Attributes:
        speed_px_per_s: speed of the middle of the face (low, high), log-uniform, for a face 96
            pixels tall; 100 px/s is a turn of about 80 degrees per second.
        camera: the distribution of event cameras.
        max_travel_px: a recording ends after this distance, or after `max_duration_us`.
        settle_us: time without motion at the start.
        passing_fraction: of recordings in which a hand or an object passes.
        blink_fraction: of recordings in which lids move or are closed at the end.
        side_px: of the sensor; the face is half as tall.
    """

    name: str
    speed_px_per_s: tuple[float, float]
    camera: CameraPrior
    max_travel_px: float = 14.0
    max_duration_us: int = 250_000
    settle_us: int = 30_000
    passing_fraction: float = 0.0
    blink_fraction: float = 0.0
    side_px: int = CROP_SIDE_PX


_ORDINARY = CameraPrior(
    threshold=(0.15, 0.4),
    mismatch=(0.03, 0.06),
    lux=(100.0, 1000.0),
    cutoff_hz=(150.0, 400.0),
    shot_hz=(0.05, 1.0),
    leak_hz=(0.02, 0.2),
    refractory_us=(50.0, 800.0),
    flicker_fraction=0.0,
)
_DARK = replace(_ORDINARY, threshold=(0.2, 0.5), lux=(0.1, 1.0), shot_hz=(1.5, 5.0))
_NOISY = replace(
    _ORDINARY,
    mismatch=(0.06, 0.08),
    shot_hz=(5.0, 15.0),
    leak_hz=(0.1, 0.3),
    hot_fraction=(5e-4, 2e-3),
    hot_hz=(100.0, 800.0),
)
_LAMPS = replace(_ORDINARY, flicker_fraction=1.0, flicker_depth=(0.1, 0.4))
_WALK = (40.0, 160.0)

CONDITIONS: dict[str, Condition] = {
    condition.name: condition
    for condition in (
        Condition("normal", _WALK, _ORDINARY),
        Condition("fast", (500.0, 1500.0), _ORDINARY, max_travel_px=24.0),
        Condition("dark", _WALK, _DARK),
        Condition("still", (3.0, 10.0), _ORDINARY),
        Condition("still_then_move", _WALK, _ORDINARY, max_travel_px=6.0, settle_us=400_000),
        Condition("flicker", _WALK, _LAMPS),
        Condition("occluded", _WALK, _ORDINARY, passing_fraction=1.0),
        Condition("blinking", _WALK, _ORDINARY, blink_fraction=1.0),
        Condition("noisy", _WALK, _NOISY),
        Condition("low_resolution", _WALK, _ORDINARY, side_px=80),
    )
}


@dataclass(frozen=True, eq=False)
class BenchmarkRecording:
    """Events, with the face box and the 98 points at the end of the recording.

    Attributes:
        points: (98, 2) float32 sensor pixels at the last instant.
        box: the true face box with a jitter like that of a tracker.
        speed_px_per_s: of the middle of the face, for a face 96 pixels tall.
        speed_deg_per_s: the same, as a turn of the head.
        lux: illuminance of the scene.
        rgb: (H, W, 3) uint8 frame, exposed around the last instant; None without `frames`.
    """

    events: EventArray
    size: SensorSize
    points: NDArray[np.float32]
    box: Box
    name: str
    speed_px_per_s: float
    speed_deg_per_s: float
    lux: float
    rgb: NDArray[np.uint8] | None

    @property
    def light_bin(self) -> str:
        return bin_of(self.lux, LIGHT_BINS_LUX, "lux")

    @property
    def speed_bin(self) -> str:
        return bin_of(self.speed_deg_per_s, SPEED_BINS_DEG_PER_S, "°/s")


def bin_of(value: float, edges: tuple[float, ...], unit: str) -> str:
    """Return the name of a bin, such as "10–100 lux"; an edge belongs to the upper bin."""
    place = int(np.searchsorted(edges, value, side="right"))
    low = 0.0 if place == 0 else edges[place - 1]
    return f"over {low:g} {unit}" if place == len(edges) else f"{low:g}–{edges[place]:g} {unit}"


def recordings(
    faces: FaceSet,
    condition: Condition,
    seed: int = 0,
    box_jitter: float = 0.04,
    *,
    frames: FrameCameraPrior | None = None,
) -> Iterator[BenchmarkRecording]:
    """Simulate one recording of each face.

    Args:
        box_jitter: standard deviation of the box's shift and scale, relative to its size.
        frames: also simulate an RGB frame of the last instant, by a camera drawn from this prior;
            the events do not depend on it.
    """
    objects = occluder_bank(48, seed)
    for index in range(len(faces)):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
        yield _one(faces, index, condition, generator, box_jitter, objects, frames)


def _one(
    faces: FaceSet,
    index: int,
    condition: Condition,
    generator: torch.Generator,
    box_jitter: float,
    objects: torch.Tensor,
    frame_cameras: FrameCameraPrior | None,
) -> BenchmarkRecording:
    side = condition.side_px
    size = SensorSize(side, side)
    image = torch.from_numpy(faces.images[index]).float().div(255)
    image = image.permute(2, 0, 1)[None] if image.ndim == 3 else image[None, None]
    if side != CROP_SIDE_PX:
        image = F.interpolate(image, (side, side), mode="bilinear", antialias=True)
    points = (torch.from_numpy(faces.points[index])[None] + 0.5) * (side / CROP_SIDE_PX) - 0.5
    lids = fit_eyelids(points)
    # A separate generator, so that other sets do not change.
    blinks = sample_blinks(1, condition.blink_fraction, torch.Generator().manual_seed(index))
    points = lids.closed(points, blinks.at(torch.zeros(1)))
    crop = (points + 0.5) / side
    head = fit_head(crop)
    camera = one_camera(condition.camera, generator)
    # Speeds refer to a face 96 of 192 pixels tall, on every sensor.
    px_per_rad = float(head.lever()[0]) * CROP_SIDE_PX
    low, high = (math.degrees(px / px_per_rad) for px in condition.speed_px_per_s)
    travel = condition.max_travel_px * 128 / CROP_SIDE_PX
    motion = MotionPrior(
        speed_deg_per_s=(low, high),
        displacement_px=(travel, travel),
        pause_fraction=0.0,
        shake_fraction=0.0,
    )
    longest = torch.tensor([condition.max_duration_us * 1e-6])
    trajectories, duration, speed = sample_motion(
        motion, 1, head.lever(), (1e-4, longest), 0.0, generator
    )
    duration_s = float(duration[0])
    passing = sample_passing(1, condition.passing_fraction, objects, generator, image.device)
    fields = crop_fields(crop, head, trajectories, side, _GRID)
    to_source = torch.tensor([[[side, 0.0, -0.5], [0.0, side, -0.5]]])
    blinking = Blinking(lids, blinks, duration)
    scenes = Scenes(to_source, fields, trajectories, passing, side, head, blinking)
    steps = max(12, math.ceil(2.5 * condition.max_travel_px * side / CROP_SIDE_PX))

    def frames() -> Iterator[Frame]:
        shown = replace(scenes, passing=passing.lit(_TONE.log_light, color=False))
        renderer = SceneRenderer(shown, _TONE.log_light(grey(image)))
        yield Frame(0, renderer.render(torch.zeros(1))[0, 0])  # only noise until `settle_us`
        for fraction in np.linspace(0, 1, steps + 1):
            t_us = round(condition.settle_us + float(fraction) * duration_s * 1e6)
            yield Frame(t_us, renderer.render(torch.tensor([float(fraction)]))[0, 0])

    lit = with_flicker(frames(), float(camera.flicker[0]), float(camera.flicker_hz[0]))
    parts = list(record(lit, camera, size, generator, condition.camera.readout))
    events = np.concatenate(parts) if parts else np.empty(0, EVENT_DTYPE)
    truth = points[0].numpy().astype(np.float32)
    box = _jittered(Box.around(truth), box_jitter, generator)
    rgb = None
    if frame_cameras is not None:
        cameras = frame_cameras.sample(camera.lux, generator)
        shown = replace(scenes, passing=passing.lit(_TONE.light, color=True))
        mean = exposed(shown, _TONE.light(image).expand(-1, 3, -1, -1), cameras, duration)
        coded = cameras.develop(mean, generator) ** (1 / _TONE.gamma)
        rgb = (coded[0].permute(1, 2, 0) * 255).round().byte().numpy()
    return BenchmarkRecording(
        events,
        size,
        truth,
        box,
        str(faces.names[index]),
        math.radians(float(speed[0])) * px_per_rad,
        float(speed[0]),
        float(camera.lux[0]),
        rgb,
    )


def _jittered(tight: Box, amount: float, generator: torch.Generator) -> Box:
    shift = torch.randn(2, generator=generator).numpy() * amount
    scale = math.exp(float(torch.randn(1, generator=generator)) * amount)
    longer = max(tight.width, tight.height)
    x, y = tight.center
    return Box(
        x + shift[0] * longer - tight.width * scale / 2,
        y + shift[1] * longer - tight.height * scale / 2,
        tight.width * scale,
        tight.height * scale,
    )


def condition_named(name: str) -> Condition:
    """Raises: ConfigError: an unknown name."""
    if name not in CONDITIONS:
        raise ConfigError("condition", name, f"one of {', '.join(CONDITIONS)}")
    return CONDITIONS[name]
