"""Photos of what the simulator makes: events with their landmarks, and the RGB frame beside.

    python tools/contact_sheet.py --faces faces/300w_train -o sheets

Writes a sheet of the training clips of each way of turning heads, one of each benchmark set, one of
each camera preset, and, with --source (repeatable; whatever `evface-edge simulate` takes), one of
each source. Without --faces it takes the avatars of the package. Sheets of faces with terms
of their own are for looking at: never publish them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from evface_edge.events.array import EventArray
from evface_edge.geometry import SensorSize
from evface_training.data import load_faces
from evface_training.data.avatars import load_avatars
from evface_training.data.faces import FaceSet
from evface_training.evaluation.benchmark_sets import CONDITIONS, Condition, recordings
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.clips import ClipSimulator
from evface_training.simulation.frame_camera import FrameCameraPrior
from evface_training.simulation.motion import DEPTHS
from evface_training.simulation.presets import PRESETS
from evface_training.simulation.recording import one_camera, record
from evface_training.simulation.sources import open_light

TILE, COLUMNS = 256, 6
Picture = NDArray[np.uint8]


def event_image(on: NDArray[np.floating], off: NDArray[np.floating]) -> Picture:
    """Counts (H, W) each → white where nothing came, blue for ON, red for OFF."""
    most = max(float(np.percentile(np.maximum(on, off), 99.5)), 1e-6)
    on, off = np.clip(on / most, 0, 1) ** 0.6, np.clip(off / most, 0, 1) ** 0.6
    photo = np.stack([1 - on, 1 - np.maximum(on, off), 1 - off], -1)
    return (photo * 255).astype(np.uint8)


def counted(events: EventArray, size: SensorSize) -> Picture:
    counts = np.zeros((2, size.height, size.width))
    np.add.at(counts, (events["p"], events["y"], events["x"]), 1)
    return event_image(counts[1], counts[0])


def tile(photo: Picture, points: NDArray[np.floating] | None, text: str) -> Image.Image:
    """A photo enlarged to the tile, points (98, 2) in its pixels."""
    height, width = photo.shape[:2]
    scale = TILE / max(width, height)
    shape = (round(width * scale), round(height * scale))
    result = Image.new("RGB", (TILE, TILE + 14), "white")
    result.paste(Image.fromarray(photo).resize(shape, Image.Resampling.NEAREST), (0, 0))
    draw = ImageDraw.Draw(result)
    for x, y in [] if points is None else (points + 0.5) * scale:
        draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(0, 150, 0))
    draw.text((2, TILE + 1), text.replace("–", " to "), fill="black")
    return result


def save(tiles: list[Image.Image], path: Path) -> None:
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, rows * (TILE + 14)), "white")
    for index, one in enumerate(tiles):
        row, column = divmod(index, COLUMNS)
        sheet.paste(one, (column * TILE, row * (TILE + 14)))
    sheet.save(path)


def clip_tiles(faces: FaceSet, prior: ClipPrior, count: int, side: int = 128) -> list[Image.Image]:
    simulator = ClipSimulator(prior, side, 3, frames=FrameCameraPrior())
    chosen = np.arange(count) % len(faces)
    clips = simulator(
        torch.from_numpy(faces.images[chosen]), torch.from_numpy(faces.points[chosen])
    )
    assert clips.rgb is not None
    tiles = []
    for index in range(count):
        volume = clips.inputs[index].reshape(2, -1, side, side).sum(1).numpy()
        face = bool(clips.presence[index])
        points = clips.points[index].numpy() * side - 0.5 if face else None
        text = (
            f"{clips.duration_s[index] * 1e3:.0f} ms {clips.speed_deg_per_s[index]:.0f} deg/s "
            f"{clips.lux[index]:.3g} lux"
        )
        tiles.append(tile(event_image(volume[1], volume[0]), points, text))
        frame = (clips.rgb[index].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        tiles.append(tile(frame, points, "frame"))
    return tiles


def benchmark_tiles(faces: FaceSet, condition: Condition, count: int) -> list[Image.Image]:
    tiles = []
    few = faces.select(np.linspace(0, len(faces) - 1, count).astype(int))
    for recording in recordings(few, condition, 1, frames=FrameCameraPrior()):
        events = recording.events
        last = events[events["t"] > events["t"][-1] - 50_000][-20_000:]
        text = f"{len(events)} ev, {recording.speed_bin}, {recording.light_bin}"
        tiles.append(tile(counted(last, recording.size), recording.points, text))
        assert recording.rgb is not None
        tiles.append(tile(recording.rgb, recording.points, "frame"))
    return tiles


def source_tiles(source: str, preset: str, count: int) -> list[Image.Image]:
    """The events before each of some labelled instants of a source."""
    return list(_source_tiles(source, preset, count))


def _source_tiles(source: str, preset: str, count: int) -> Iterator[Image.Image]:
    light = open_light(source)
    labels = []

    def frames() -> Iterator[object]:
        for labelled in light:
            labels.append((labelled.frame.t_us, labelled.points))
            yield labelled.frame

    generator = torch.Generator().manual_seed(0)
    camera = one_camera(PRESETS[preset], generator)
    window: list[EventArray] = []
    shown, next_us = 0, 300_000
    for events in record(frames(), camera, light.size, generator, PRESETS[preset].readout):  # type: ignore[arg-type]
        window.append(events)
        if int(events["t"][-1]) < next_us:
            continue
        recent = np.concatenate(window)[-200_000:]
        recent = recent[recent["t"] > recent["t"][-1] - 33_000]
        window, next_us = [recent], next_us + 300_000
        _, points = next((pair for pair in reversed(labels) if pair[1] is not None), (0, None))
        rate = len(recent) / 33e-3 / 1e6
        yield tile(counted(recent, light.size), points, f"{preset}, {rate:.2f} Mev/s")
        shown += 1
        if shown == count:
            return


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--faces", type=Path, action="append")
    parser.add_argument("--source", action="append", default=[])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--only", help="training, benchmark, presets or sources")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    faces = load_faces(arguments.faces, color=True) if arguments.faces else load_avatars()
    spread = np.random.default_rng(1).permutation(len(faces))
    faces = faces.select(spread[:96])
    only = arguments.only
    if only in (None, "training"):
        for depth in DEPTHS:
            prior = ClipPrior()
            prior = replace(prior, motion=replace(prior.motion, depth=depth))
            save(clip_tiles(faces, prior, arguments.count), arguments.output / f"clips_{depth}.png")
    if only in (None, "benchmark"):
        for name, condition in CONDITIONS.items():
            path = arguments.output / f"set_{name}.png"
            save(benchmark_tiles(faces, condition, arguments.count // 2), path)
    if only in (None, "presets"):
        tiles = []
        for name in PRESETS:
            tiles += source_tiles("synthetic:avatar?seed=2&speed=slow&seconds=0.7", name, 2)
        save(tiles, arguments.output / "presets.png")
    for index, source in enumerate(arguments.source):
        save(source_tiles(source, "davis346", 6), arguments.output / f"source_{index}.png")


if __name__ == "__main__":
    main()
