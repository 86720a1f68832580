"""Speed of the simulator: training clips of 128 × 128, with and without its costly parts.

    python -m benchmarks simulation --processes 2
    python -m benchmarks simulation --avatars
    python -m benchmarks simulation --device cuda --batch 1024

Each of `processes` simulates on one thread, as the workers of a training do. The results are
samples per second of wall-clock time, which other processes on the machine lower, and per second of
CPU time, which they hardly affect. --avatars times rendered avatars instead: milliseconds for an
image of 256 × 256 with its labels, in wall-clock and in CPU time of all threads.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evface_edge.geometry import SensorSize
from evface_training.avatar import (
    AvatarAnimation,
    AvatarIdentity,
    AvatarRenderer,
    Light,
    PinholeCamera,
    Pose,
)
from evface_training.data.avatars import load_avatars
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.clips import ClipSimulator
from evface_training.simulation.frame_camera import FrameCameraPrior

SIDE = 128


@dataclass(frozen=True)
class Case:
    name: str
    prior: ClipPrior = ClipPrior()  # noqa: RUF009 - frozen
    frames: bool = False
    lists: bool = False


CASES = (
    Case("full model, 8 + 2 steps"),
    Case("full model, 12 + 4 steps", ClipPrior(bins=5, steps_per_bin=3)),
    Case("with RGB frames", frames=True),
    Case("with event lists", lists=True),
)


def run(case: Case, batch: int, seconds: float, device: str, seed: int) -> tuple[int, float, float]:
    """Return samples, seconds of wall-clock time, seconds of CPU time."""
    torch.set_num_threads(1)
    avatars = load_avatars()
    chosen = np.arange(batch) % len(avatars)
    images = torch.from_numpy(avatars.images[chosen]).to(device)
    points = torch.from_numpy(avatars.points[chosen]).to(device)
    frames = FrameCameraPrior() if case.frames else None
    simulator = ClipSimulator(case.prior, SIDE, seed, device, frames=frames, lists=case.lists)
    simulator.RESOLUTIONS = ((SIDE, 1.0),)
    for _ in range(2):
        simulator(images, points)
    _wait(device)
    began, cpu_began, samples = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        simulator(images, points)
        _wait(device)
        samples += batch
    return samples, time.perf_counter() - began, time.process_time() - cpu_began


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def time_clips(processes: int, batch: int, seconds: float, device: str) -> list[dict[str, Any]]:
    rows = []
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for case in CASES:
            jobs = [(case, batch, seconds, device, seed) for seed in range(processes)]
            results = pool.starmap(run, jobs, chunksize=1)
            samples = sum(count for count, _, _ in results)
            rows.append(
                {
                    "case": case.name,
                    "samples_per_s": round(sum(n / wall for n, wall, _ in results), 1),
                    "samples_per_cpu_s": round(samples / sum(cpu for _, _, cpu in results), 1),
                }
            )
    return rows


def time_avatars(count: int) -> list[dict[str, Any]]:
    size = SensorSize(256, 256)
    camera = PinholeCamera(size, focal_px=400.0)
    rng = np.random.default_rng(1)
    identity, light = AvatarIdentity.sample(rng), Light.sample(rng)
    center = Pose(y_mm=10.0, distance_mm=650.0)
    animation = AvatarAnimation.sample(rng, speed="fast", seconds=10, center=center)
    states = [animation.state(t_us) for t_us in np.linspace(0, 9e6, count)]
    rows = []
    for oversample in (1, 2):
        spent = []
        with AvatarRenderer(size, oversample=oversample) as renderer:
            renderer.render(identity, *states[0], camera, light)
            for expression, pose in states:
                began, cpu_began = time.perf_counter(), time.process_time()
                renderer.render(identity, expression, pose, camera, light)
                spent.append((time.perf_counter() - began, time.process_time() - cpu_began))
        wall, cpu = 1e3 * np.median(spent, axis=0)
        case = f"avatar, oversampled {oversample} times"
        rows.append({"case": case, "ms": round(float(wall), 2), "cpu_ms": round(float(cpu), 2)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--seconds", type=float, default=5.0, help="Duration of each case.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--avatars", action="store_true", help="Time rendered avatars instead.")
    parser.add_argument("--json", type=Path, help="Write the rows as JSON.")
    options = parser.parse_args()
    if options.avatars:
        rows = time_avatars(40)
    else:
        rows = time_clips(options.processes, options.batch, options.seconds, options.device)
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items()))  # noqa: T201
    if options.json is not None:
        settings = {key: value for key, value in vars(options).items() if key != "json"}
        text = json.dumps(
            {"settings": settings, "torch": torch.__version__, "rows": rows}, indent=1
        )
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
