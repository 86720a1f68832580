"""`simulate --preview`: a contact sheet of what would be simulated, with the landmarks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from evface_edge.errors import ConfigError
from evface_edge.events import EventArray
from evface_training.contact_sheet import TRUTH, count_image, event_image, save_sheet, tile
from evface_training.data.annotated import SkipList
from evface_training.data.avatars import load_avatars
from evface_training.data.faces import FaceSet
from evface_training.evaluation.benchmark_sets import condition_named, recordings
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.clips import ClipSimulator
from evface_training.simulation.frame_camera import FrameCameraPrior
from evface_training.simulation.light import Frame, LightSource
from evface_training.simulation.opening import open_folder, open_light
from evface_training.simulation.recording import one_camera, record

_TILES, _COLUMNS, _SIDE = 24, 6, 128
#: Events of so long before an instant are shown, and so much of a source at most.
_SHOWN_US, _LONGEST_US = 33_000, 2_000_000


def is_preview_only(source: str) -> bool:
    """Whether a source is `clips` or `benchmark:NAME`, of which no recording is written."""
    return source == "clips" or source.startswith("benchmark:")


def write_preview(
    source: str, path: Path, prior: CameraPrior, *, seed: int = 0, speed: str = "normal"
) -> int:
    """Write a contact sheet of a source and return the number of its tiles.

    Args:
        source: what `simulate` takes; or `clips`, training clips of the bundled avatars; or
            `benchmark:NAME`, a benchmark set of them.
        prior: of the event camera; clips and benchmark sets have their own.
        speed: of the motion of images.

    Raises:
        ConfigError: a source that cannot be opened, or that gives no event.
    """
    if source == "clips":
        tiles = _clip_tiles(load_avatars(), seed)
    elif is_preview_only(source):
        tiles = _benchmark_tiles(load_avatars(), source.partition(":")[2], seed)
    elif Path(source).is_dir():
        sources = islice(open_folder(Path(source), SkipList(), seed=seed, speed=speed), _TILES)
        tiles = (one for name, light in sources for one in _tiles(light, prior, seed, 1, name))
    else:
        tiles = _tiles(open_light(source, seed=seed, speed=speed), prior, seed, _TILES)
    done = list(tiles)
    if not done:
        raise ConfigError("source", source, "a source that gives events")
    save_sheet(done, path, min(_COLUMNS, len(done)))
    return len(done)


def _tiles(
    light: LightSource, prior: CameraPrior, seed: int, count: int, name: str = ""
) -> Iterator[Image.Image]:
    """Yield `count` instants of a source, evenly spaced, with the last landmarks before each."""
    points: NDArray[np.float32] | None = None

    def frames() -> Iterator[Frame]:
        nonlocal points
        for labelled in light:
            points = points if labelled.points is None else labelled.points
            yield labelled.frame

    step_us = min(light.duration_us or _LONGEST_US, _LONGEST_US) / (count + 1)
    due_us, window = step_us, list[EventArray]()
    generator = torch.Generator().manual_seed(seed)
    camera = one_camera(prior, generator)
    for events in record(frames(), camera, light.size, generator, prior.readout):
        now_us = int(events["t"][-1])
        window = [part for part in window if part["t"][-1] > now_us - _SHOWN_US] + [events]
        if now_us >= due_us:
            recent = np.concatenate(window)
            text = f"{name} {now_us / 1e3:.0f} ms, {len(recent) / _SHOWN_US:.2f} Mev/s"
            yield tile(event_image(recent, light.size, _SHOWN_US), text, (points, TRUTH))
            due_us += step_us
            count -= 1
        if not count:
            return


def _clip_tiles(faces: FaceSet, seed: int) -> Iterator[Image.Image]:
    simulator = ClipSimulator(ClipPrior(), _SIDE, seed, frames=FrameCameraPrior())
    chosen = np.arange(0, len(faces), len(faces) * 2 // _TILES)
    images, points = faces.images[chosen], faces.points[chosen]
    clips = simulator(torch.from_numpy(images), torch.from_numpy(points))
    for index, inputs in enumerate(clips.inputs):
        counts = inputs.reshape(2, -1, _SIDE, _SIDE).sum(1).numpy()
        shown = clips.points[index].numpy() * _SIDE - 0.5 if clips.presence[index] else None
        text = (
            f"{clips.duration_s[index] * 1e3:.0f} ms {clips.speed_deg_per_s[index]:.0f} deg/s "
            f"{clips.lux[index]:.3g} lux"
        )
        yield tile(count_image(counts[1], counts[0]), text, (shown, TRUTH))
        if clips.rgb is not None:
            frame = (clips.rgb[index].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
            yield tile(frame, "RGB frame", (shown, TRUTH))


def _benchmark_tiles(faces: FaceSet, name: str, seed: int) -> Iterator[Image.Image]:
    few = faces.select(np.linspace(0, len(faces) - 1, _TILES // 2).astype(int))
    for one in recordings(few, condition_named(name), seed, frames=FrameCameraPrior()):
        text = f"{len(one.events)} events, {one.speed_bin}, {one.light_bin}"
        yield tile(event_image(one.events, one.size, _SHOWN_US), text, (one.points, TRUTH))
        if one.rgb is not None:
            yield tile(one.rgb, "RGB frame", (one.points, TRUTH))
