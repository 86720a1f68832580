"""Ablation of the simulation: small students, each trained with a part of the simulation removed.

    python -m benchmarks simulation_ablation --faces faces/300w_train --json ablation.json

All students get the same faces and the same number of clips, in the same order of identities. They
differ in the simulation alone:

    full          the whole prior: noise of every kind, pauses, heads that turn in depth
    clean         the thresholds and the bandwidth of an ideal camera, without noise
    plane         heads do not turn: they move in the image plane
    no pauses     motion never stops or starts within a window
    ellipsoid     heads turn as ellipsoids, by small angles
    static        no passing objects, no camera shake

They are tested on people from the validation split, with recordings unlike the training clips:
lists of events from cameras and speeds drawn apart from the training prior, of heads that turn
exactly; and with clips of unseen cameras whose motion stops or starts within the window.

The JSON file keeps the errors of each face. Students that are already in it are not trained again.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from evface_edge.landmarks import MIRROR, nme, to_68
from evface_edge.representation import VoxelGrid
from evface_training.data.avatars import load_avatars
from evface_training.data.faces import FaceSet
from evface_training.data.loading import load_faces
from evface_training.data.split import split_faces
from evface_training.evaluation.benchmark_sets import CONDITIONS, Condition, recordings
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.clips import ClipSimulator
from evface_training.simulation.presets import PRESETS
from evface_training.tasks.student import student_loss

BATCH = 64
#: Mean number of uses of a clip, groups of clips in the pool, and groups before the first step.
REUSE, GROUPS, FIRST_GROUPS = 4, 128, 16
CROP_SCALE = 1.35
LEARNING_RATE, EMA_DECAY = 1.5e-3, 0.99
MAX_EVENTS, MAX_WINDOW_US = 12_000, 200_000
Floats = NDArray[np.floating]


def student(side: int) -> StudentConfig:
    return StudentConfig(side=side, stem="patch", channels=(32, 64, 96))


def resolutions(side: int) -> tuple[tuple[int, float], ...]:
    """Sensor pixels across the crop and their probabilities; none finer than the input."""
    return (side, 0.7), (side * 3 // 4, 0.3)


def _changed(**motion: object) -> ClipPrior:
    prior = ClipPrior()
    return replace(prior, motion=replace(prior.motion, **motion))  # type: ignore[arg-type]


VARIANTS: dict[str, ClipPrior] = {
    "full": ClipPrior(),
    "clean": replace(ClipPrior(), camera=PRESETS["ideal"]),
    "plane": _changed(depth="none"),
    "no pauses": _changed(pause_fraction=0.0),
    "ellipsoid": _changed(depth="smooth"),
    "static": replace(_changed(shake_fraction=0.0), passing_fraction=0.0),
}

#: Cameras outside the training prior: other ranges, and the noise of other sensors.
_UNSEEN = CameraPrior(
    threshold=(0.12, 0.5),
    asymmetry=(0.6, 1.6),
    mismatch=(0.05, 0.12),
    lux=(5.0, 500.0),
    cutoff_hz=(60.0, 300.0),
    shot_hz=(0.5, 6.0),
    leak_hz=(0.1, 0.6),
    refractory_us=(200.0, 2000.0),
    hot_fraction=(2e-4, 2e-3),
    flicker_fraction=0.0,
)
SETS: dict[str, Condition] = {
    "unseen cameras": replace(CONDITIONS["normal"], camera=_UNSEEN, speed_px_per_s=(15.0, 700.0)),
    **{
        name: CONDITIONS[name]
        for name in ("normal", "fast", "dark", "noisy", "still", "still_then_move", "occluded")
    },
}
PAUSED = "stops or starts"
_PAUSED = replace(
    ClipPrior(),
    camera=_UNSEEN,
    motion=replace(ClipPrior().motion, pause_fraction=1.0, speed_deg_per_s=(10.0, 500.0)),
    negative_fraction=0.0,
    occlusion_fraction=0.0,
    passing_fraction=0.0,
    blink_fraction=0.0,
    crop_scale=(CROP_SCALE, CROP_SCALE),
    roll_deg=0.0,
)


def train(faces: FaceSet, variant: str, seed: int, side: int, steps: int) -> nn.Module:
    """Train a student; the result is the running average of its weights."""
    torch.manual_seed(seed)
    network = Student(student(side))
    average = AveragedModel(
        network,
        multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    simulator = ClipSimulator(VARIANTS[variant], side, seed)
    simulator.RESOLUTIONS = resolutions(side)
    random = np.random.default_rng(seed)
    pool: deque[list[torch.Tensor]] = deque(maxlen=GROUPS)
    pool.extend(_simulated(simulator, faces, random) for _ in range(FIRST_GROUPS))
    network.train()
    for step in range(steps):
        pool.append(_simulated(simulator, faces, random))
        inputs, points, present, weights = _drawn(pool, random)
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1, (step + 1) / 100)
        head = network.head
        with torch.autocast("cpu", torch.bfloat16):
            raw, presence = head.logits(network.backbone(inputs))
        losses = student_loss(head, raw.float(), presence.float(), points, weights, present)
        optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        average.update_parameters(network)
        if step % 100 == 99 or step == steps - 1:
            loss = losses["total"].item()
            print(f"{variant}, seed {seed}: step {step + 1}, loss {loss:.3f}", flush=True)  # noqa: T201
    return average


def _drawn(pool: Sequence[list[torch.Tensor]], random: np.random.Generator) -> list[torch.Tensor]:
    """Return a batch from the pool: inputs, points, presence, weights."""
    size = BATCH // REUSE
    places = random.choice(size * len(pool), BATCH, replace=False)
    drawn = [[part[place % size] for part in pool[place // size]] for place in places]
    return [torch.stack(part).float() for part in zip(*drawn, strict=True)]


def _simulated(
    simulator: ClipSimulator, faces: FaceSet, random: np.random.Generator
) -> list[torch.Tensor]:
    """Return new clips: inputs as float16, points, presence, weights."""
    chosen = random.integers(len(faces), size=BATCH // REUSE)
    clips = simulator(
        torch.from_numpy(faces.images[chosen]), torch.from_numpy(faces.points[chosen])
    )
    weights = torch.from_numpy(faces.weights[chosen])
    weights = (weights + weights[:, torch.from_numpy(MIRROR)]) / 2  # faces may be mirrored
    return [clips.inputs.half(), clips.points, clips.presence, weights]


def test_sets(faces: FaceSet, side: int) -> dict[str, tuple[Floats, Floats]]:
    """Return inputs (N, 10, side, side) and points (N, 98, 2), crop fractions, of each set."""
    sets = {name: _recorded(faces, condition, side) for name, condition in SETS.items()}
    return sets | {PAUSED: _paused(faces, side)}


def _recorded(faces: FaceSet, condition: Condition, side: int) -> tuple[Floats, Floats]:
    grid = VoxelGrid(bins=5, normalisation="mean")
    inputs, points = [], []
    for recording in recordings(faces, condition, seed=77):
        events = recording.events
        box = recording.box.square(CROP_SCALE)
        inside = (np.abs(events["x"] - box.center[0]) < box.width / 2) & (
            np.abs(events["y"] - box.center[1]) < box.height / 2
        )
        events = events[inside][-MAX_EVENTS:]
        if len(events):
            events = events[events["t"] > events["t"][-1] - MAX_WINDOW_US]
        inputs.append(grid.crop(events, box, (side, side)))
        points.append((recording.points - (box.x, box.y)) / box.width)
    return np.stack(inputs), np.stack(points).astype(np.float32)


def _paused(faces: FaceSet, side: int) -> tuple[Floats, Floats]:
    simulator = ClipSimulator(_PAUSED, side, 77)
    simulator.RESOLUTIONS = ((128, 1.0),)
    clips = simulator(torch.from_numpy(faces.images), torch.from_numpy(faces.points))
    return clips.inputs.numpy(), clips.points.numpy()


@torch.no_grad()
def test(network: nn.Module, inputs: Floats, points: Floats) -> list[float]:
    """Return the NME-68 of each face in percent, at most 100."""
    network.eval()
    errors = []
    for image, truth in zip(torch.from_numpy(inputs).float(), points, strict=True):
        landmarks = network(image[None])[0][0].numpy()
        error = float(nme(to_68(landmarks), to_68(truth), (36, 45)))
        errors.append(round(100 * min(error, 1.0), 2))
    return errors


def as_table(results: Mapping[str, Any]) -> str:
    """Return a table of mean errors, with the paired difference from the full model and its
    standard error over faces and seeds in brackets."""
    errors: dict[str, dict[str, Floats]] = {}
    for key, row in results["rows"].items():
        known = errors.setdefault(key.rpartition("_")[0], {})
        for name, values in row.items():
            known[name] = np.concatenate([known.get(name, np.empty(0)), values])
    names = list(next(iter(errors.values())))
    lines = ["| NME-68 % | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    first = errors.get("full")
    for variant in [name for name in VARIANTS if name in errors]:
        cells = []
        for name in names:
            cell = f"{errors[variant][name].mean():.1f}"
            if variant != "full" and first is not None:
                count = min(len(first[name]), len(errors[variant][name]))
                more = errors[variant][name][:count] - first[name][:count]
                cell += f" ({more.mean():+.1f} ± {more.std(ddof=1) / count**0.5:.1f})"
            cells.append(cell)
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    if options.faces:
        faces, held = split_faces(load_faces(options.faces, options.cache))
        held = held.select(held.human)
    else:
        avatars = load_avatars()
        faces, held = avatars.select(np.arange(80)), avatars.select(np.arange(80, len(avatars)))
    count = min(options.test_faces, len(held))
    held = held.select(np.linspace(0, len(held) - 1, count).round().astype(int))
    settings = {
        "batch": BATCH,
        "side": options.side,
        "rate": LEARNING_RATE,
        "parameters": sum(p.numel() for p in Student(student(options.side)).parameters()),
        "faces": len(faces),
        "test_faces": count,
    }
    results: dict[str, Any] = {"settings": settings, "steps": options.steps, "rows": {}}
    if options.json.is_file():
        stored = json.loads(options.json.read_text(encoding="utf-8"))
        if (stored["settings"], stored["steps"]) != (settings, options.steps):
            raise SystemExit(f"{options.json}: results of other settings; name another file")
        results = stored
    sets = test_sets(held, options.side)
    for seed in range(options.seeds):
        for variant in options.variant or VARIANTS:
            key = f"{variant}_{seed}"
            if key not in results["rows"]:
                network = train(faces, variant, seed, options.side, options.steps)
                results["rows"][key] = {name: test(network, *data) for name, data in sets.items()}
                options.json.write_text(json.dumps(results) + "\n", encoding="utf-8")
    print(as_table(results))  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, required=True, help="Results; to read and to write.")
    parser.add_argument("--faces", type=Path, action="append", help="Default: bundled avatars.")
    parser.add_argument("--cache", type=Path, help="File for the packed faces.")
    parser.add_argument("--side", type=int, default=96, help="Side of the inputs in pixels.")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=1, help="Number of seeds.")
    parser.add_argument("--test-faces", type=int, default=100)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
