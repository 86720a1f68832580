"""Noise of real recordings beside that of the simulator.

    python -m benchmarks noise recordings/event_camera_py/test_events_2 … --json noise.json

For each recording: events per pixel and second over the quiet pixels (below the 90th percentile, so
that moving objects and hot pixels count little), the fraction of ON events, the fraction of pixels
above twenty times the median (hot), and the time between events of one pixel: the shortest, the
median, and the coefficient of variation (1 for Poisson noise, above 1 for bursts). The same for
still grey light through each camera preset, and for three cameras of the training prior.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def statistics(events: EventArray, size: SensorSize) -> dict[str, Any]:
    seconds = float(events["t"][-1] - events["t"][0]) * 1e-6
    pixel = events["y"].astype(np.int64) * size.width + events["x"]
    count = np.bincount(pixel, minlength=size.width * size.height)
    quiet = count <= np.percentile(count, 90)
    chosen = quiet[pixel]
    order = np.lexsort((events["t"][chosen], pixel[chosen]))
    place, t_us = pixel[chosen][order], events["t"][chosen][order]
    between_us = np.diff(t_us)[place[1:] == place[:-1]]
    if not len(between_us):
        between_us = np.array([np.nan])
    values = {
        "seconds": seconds,
        "events_per_px_s": count[quiet].sum() / quiet.sum() / seconds,
        "on_fraction": events["p"].mean(),
        "hot_fraction": np.mean(count > 20 * max(np.median(count), 1)),
        "shortest_us": np.min(between_us),
        "percentile_5_us": np.percentile(between_us, 5),
        "median_us": np.median(between_us),
        "variation": np.std(between_us) / np.mean(between_us),
    }
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def simulated(prior: CameraPrior, seconds: float = 2.0) -> dict[str, Any]:
    size = SensorSize(160, 120)
    generator = torch.Generator().manual_seed(0)
    camera = one_camera(prior, generator)
    still = torch.full((size.height, size.width), -1.0)
    frames = (Frame(round(k * 1e4), still) for k in range(round(seconds * 100) + 1))
    events = np.concatenate(list(record(frames, camera, size, generator, prior.readout)))
    return statistics(events, size)


def recorded(name: str) -> dict[str, Any]:
    try:
        return statistics(*read_events(name))
    except EvfaceError as error:
        return {"error": str(error)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("recordings", nargs="*")
    parser.add_argument("--json", type=Path, help="Write the rows as JSON.")
    options = parser.parse_args()
    priors = {
        "training prior, quietest": CameraPrior(
            shot_hz=(0.01, 0.01), leak_hz=(0.01, 0.01), lux=(1000, 1000)
        ),
        "training prior, middle": CameraPrior(
            shot_hz=(0.35, 0.35), leak_hz=(0.05, 0.05), lux=(17, 17)
        ),
        "training prior, loudest": CameraPrior(
            shot_hz=(12, 12), leak_hz=(0.3, 0.3), lux=(0.3, 0.3)
        ),
    }
    for name, prior in PRESETS.items():
        if name != "ideal":
            priors[name], priors[f"{name}, 0.3 lux"] = prior, replace(prior, lux=(0.3, 0.3))
    rows = {name: recorded(name) for name in options.recordings}
    rows |= {name: simulated(prior) for name, prior in priors.items()}
    for name, row in rows.items():
        print(name, ", ".join(f"{key} {value}" for key, value in row.items()), sep=": ")  # noqa: T201
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
