"""Training samples a second: 128 × 128, full noise, with and without what costs extra.

    python -m benchmarks simulation --processes 2
    python -m benchmarks simulation --avatars
    python -m benchmarks simulation --device cuda --batch 1024

`processes` simulate at once, each on one thread, as the workers of a training do. Two figures for
each: samples per second of wall clock, which other work on the machine lowers, and per second of
processor time, which it hardly does. --avatars times our own head instead: an image of 256 × 256
with its labels, in milliseconds of wall clock and of processor, of all threads together.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from dataclasses import dataclass

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
from evface_training.avatar.model import AvatarModel
from evface_training.data.avatars import load_avatars
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.clips import ClipSimulator
from evface_training.simulation.frame_camera import FrameCameraPrior
from evface_training.simulation.motion import MotionPrior

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
    Case("avatars turn as ellipsoids", ClipPrior(motion=MotionPrior(depth="smooth"))),
    Case("with RGB frames", frames=True),
    Case("with event lists", lists=True),
)


def run(case: Case, batch: int, seconds: float, device: str, seed: int) -> tuple[int, float, float]:
    """→ samples, seconds of wall clock, seconds of processor."""
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
    began, worked, samples = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        simulator(images, points)
        _wait(device)
        samples += batch
    return samples, time.perf_counter() - began, time.process_time() - worked


def time_avatars(count: int) -> None:
    size = SensorSize(256, 256)
    camera = PinholeCamera(size, focal_px=400.0)
    rng = np.random.default_rng(1)
    identity, light = AvatarIdentity.sample(rng), Light.sample(rng)
    animation = AvatarAnimation.sample(
        rng, speed="fast", seconds=10, center=Pose(y_mm=10.0, distance_mm=650.0)
    )
    states = [animation.state(t_us) for t_us in np.linspace(0, 9e6, count)]
    model = AvatarModel(identity)
    triangles = len(model.skin_attributes()[2]) + len(model.part_attributes()[2])
    print(f"{triangles} triangles, medians of {count} images")  # noqa: T201
    print(f"{'':26}{'ms':>12}{'CPU ms':>16}")  # noqa: T201
    for name, oversample, antialias in (
        ("antialiased", 1, True),
        ("jagged outlines", 1, False),
        ("recordings: twice as fine", 2, True),
    ):
        with AvatarRenderer(size, oversample=oversample, antialias=antialias) as renderer:
            renderer.render(identity, *states[0], camera, light)
            spent = []
            for expression, pose in states:
                began = time.perf_counter(), time.process_time()
                renderer.render(identity, expression, pose, camera, light, contour="outline")
                spent.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        wall, work = 1e3 * np.median(spent, axis=0)
        print(f"{name:26}{wall:12.1f}{work:16.1f}")  # noqa: T201


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--avatars", action="store_true")
    arguments = parser.parse_args()
    if arguments.avatars:
        time_avatars(40)
        return
    count = arguments.processes
    print(f"{arguments.device}, torch {torch.__version__}, {count} processes of one thread")  # noqa: T201
    print(f"{'':26}{'samples/s':>12}{'per CPU second':>16}")  # noqa: T201
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        for case in CASES:
            jobs = [
                (case, arguments.batch, arguments.seconds, arguments.device, seed)
                for seed in range(count)
            ]
            results = pool.starmap(run, jobs, chunksize=1)
            wall = sum(samples / seconds for samples, seconds, _ in results)
            work = sum(samples for samples, _, _ in results) / sum(w for _, _, w in results)
            print(f"{case.name:26}{wall:12.0f}{work:16.0f}")  # noqa: T201


if __name__ == "__main__":
    main()
