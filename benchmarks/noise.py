"""The noise of real recordings beside that of the simulator, as a table.

    python -m benchmarks noise recordings/event_camera_py/test_events_2 …

For each recording: events per pixel and second over the pixels that are quiet (below the 90th
percentile, so that what moves in view and hot pixels count little), the fraction of ON events, the
fraction of pixels beyond twenty times the median (hot), and how events follow each other in one
pixel: the shortest and the median time between two, and their coefficient of variation (1 for
Poisson noise, above 1 for bursts). The same figures for still grey light through each camera
preset, and for the middle and the edges of the training prior.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch

from evface_edge.errors import EvfaceError
from evface_edge.events import read_events
from evface_edge.events.array import EventArray
from evface_edge.geometry import SensorSize
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.light import Frame
from evface_training.simulation.presets import PRESETS
from evface_training.simulation.recording import one_camera, record

COLUMNS = (
    "seconds",
    "ev/px/s",
    "ON fraction",
    "hot",
    "dt min us",
    "dt p5 us",
    "dt median us",
    "cv",
)


def figures(events: EventArray, size: SensorSize) -> list[float]:
    seconds = float(events["t"][-1] - events["t"][0]) * 1e-6
    pixel = events["y"].astype(np.int64) * size.width + events["x"]
    count = np.bincount(pixel, minlength=size.width * size.height)
    quiet = count <= np.percentile(count, 90)
    rate = count[quiet].sum() / quiet.sum() / seconds
    chosen = quiet[pixel]
    order = np.lexsort((events["t"][chosen], pixel[chosen]))
    place, t_us = pixel[chosen][order], events["t"][chosen][order]
    between = np.diff(t_us)[place[1:] == place[:-1]]
    if not len(between):
        between = np.array([np.nan])
    hot = np.mean(count > 20 * max(np.median(count), 1))
    return [
        seconds,
        rate,
        float(events["p"].mean()),
        float(hot),
        float(np.min(between)),
        float(np.percentile(between, 5)),
        float(np.median(between)),
        float(np.std(between) / np.mean(between)),
    ]


def simulated(prior: CameraPrior, seconds: float = 2.0) -> list[float]:
    size = SensorSize(160, 120)
    generator = torch.Generator().manual_seed(0)
    camera = one_camera(prior, generator)
    still = torch.full((size.height, size.width), -1.0)
    frames = (Frame(round(k * 1e4), still) for k in range(round(seconds * 100) + 1))
    events = np.concatenate(list(record(frames, camera, size, generator, prior.readout)))
    return figures(events, size)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("recordings", nargs="*")
    names = parser.parse_args().recordings
    print(f"| {'':34} | " + " | ".join(f"{c:>12}" for c in COLUMNS) + " |")  # noqa: T201
    print("|---" * (len(COLUMNS) + 1) + "|")  # noqa: T201
    for name in names:
        try:
            events, size = read_events(name)
        except EvfaceError as error:
            print(f"| {name[-34:]:34} | {error}")  # noqa: T201
            continue
        show(name, figures(events, size))
    for name, prior in PRESETS.items():
        if name != "ideal":
            show(f"preset {name}", simulated(prior))
            show(f"preset {name}, 0.3 lux", simulated(replace(prior, lux=(0.3, 0.3))))
    quiet = CameraPrior(shot_hz=(0.01, 0.01), leak_hz=(0.01, 0.01), lux=(1000, 1000))
    middle = CameraPrior(shot_hz=(0.35, 0.35), leak_hz=(0.05, 0.05), lux=(17, 17))
    loud = CameraPrior(shot_hz=(12, 12), leak_hz=(0.3, 0.3), lux=(0.3, 0.3))
    for name, prior in (("quietest", quiet), ("middle", middle), ("loudest", loud)):
        show(f"training prior, {name}", simulated(prior))


def show(name: str, row: list[float]) -> None:
    print(f"| {name[-34:]:34} | " + " | ".join(f"{value:12.4g}" for value in row) + " |")  # noqa: T201


if __name__ == "__main__":
    main()
