"""Does the simulation matter? Small students, each trained on another part of it.

    python scripts/ablate_simulation.py --faces faces/300w_train -o runs/ablation \\
        --steps 3000 --seeds 2

All students see the same faces, the same number of clips and the same order of identities; they
differ in the simulation alone:

    full          the whole prior: noise of every kind, pauses, heads that turn in depth
    clean         thresholds, bandwidth and everything else of an ideal camera
    no pauses     motion never stops or starts within a window
    ellipsoid     heads turn as ellipsoids, in small turns
    plane         heads do not turn: they move in the picture plane
    static        no objects that pass, no shaking camera

They are tested on people kept for validation, on recordings that none of them was trained on: lists
of events through cameras and speeds drawn apart from the training prior (noisy, dark, fast, normal,
still, still_then_move, flicker, occluded), and heads that turn exactly. Writes a checkpoint of each
student after every --save steps and goes on from there when run again; table.md grows with each
student that is done. Without --faces it trains on the rendered heads of the package (a smoke test).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from evface_edge.landmarks import MIRROR, nme, to_68
from evface_edge.representation import VoxelGrid
from evface_training.benchmark_sets import CONDITIONS, Condition, recordings
from evface_training.data import load_faces, split_faces
from evface_training.data.faces import FaceSet
from evface_training.data.heads import load_heads
from evface_training.losses import student_loss
from evface_training.networks.student import Student, StudentConfig
from evface_training.simulation.camera import CameraPrior
from evface_training.simulation.clips import ClipPrior, ClipSimulator
from evface_training.simulation.presets import PRESETS

SIDE, BATCH = 128, 64
CROP_SCALE = 1.35
LATEST, LONGEST_US = 12_000, 200_000


def _changed(**motion: object) -> ClipPrior:
    prior = ClipPrior()
    return replace(prior, motion=replace(prior.motion, **motion))  # type: ignore[arg-type]


VARIANTS: dict[str, ClipPrior] = {
    "full": ClipPrior(),
    "clean": replace(ClipPrior(), camera=PRESETS["ideal"]),
    "no pauses": _changed(pause_share=0.0),
    "ellipsoid": _changed(depth="smooth"),
    "plane": _changed(depth="none"),
    "static": replace(_changed(shake_share=0.0), passing_share=0.0),
}

#: Cameras that no student has seen: other ranges, and the noise of other sensors.
_UNSEEN = CameraPrior(
    threshold=(0.12, 0.5),
    asymmetry=(0.6, 1.6),
    mismatch=(0.05, 0.12),
    lux=(5.0, 500.0),
    cutoff_hz=(60.0, 300.0),
    shot_hz=(0.5, 6.0),
    leak_hz=(0.1, 0.6),
    refractory_us=(200.0, 2000.0),
    hot_share=(2e-4, 2e-3),
    flicker_share=0.0,
)
SETS: dict[str, Condition] = {
    "unseen cameras": replace(CONDITIONS["normal"], camera=_UNSEEN, speed_px_per_s=(15.0, 700.0)),
    **{
        name: CONDITIONS[name]
        for name in ("normal", "fast", "dark", "noisy", "still", "still_then_move", "occluded")
    },
}


def train(
    variant: str,
    seed: int,
    faces: FaceSet,
    steps: int,
    save: int,
    folder: Path,
    log: Callable[[str], None],
) -> Student:
    """A student of one variant; from its last checkpoint where there is one."""
    torch.manual_seed(seed)
    network = Student(StudentConfig(channels=(16, 32, 64, 96)))
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    path = folder / f"{variant.replace(' ', '_')}_{seed}.pt"
    begun = 0
    if path.is_file():
        stored = torch.load(path, weights_only=True)
        network.load_state_dict(stored["network"])
        optimiser.load_state_dict(stored["optimiser"])
        begun = stored["step"]
    mirror = torch.from_numpy(MIRROR)
    simulator: ClipSimulator | None = None
    for step in range(begun, steps):
        if simulator is None or step % save == 0:
            # A new seed for each stretch: a run that goes on sees what it would have seen.
            simulator = ClipSimulator(VARIANTS[variant], SIDE, 1_000_003 * seed + step // save)
        chosen = np.random.default_rng((seed, step)).integers(len(faces), size=BATCH)
        clips = simulator(
            torch.from_numpy(faces.images[chosen]), torch.from_numpy(faces.points[chosen])
        )
        weights = torch.from_numpy(faces.weights[chosen])
        weights = (weights + weights[:, mirror]) / 2  # faces may be mirrored
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 100) * 0.5 * (1 + np.cos(np.pi * step / steps))
        network.train()
        raw, presence = network.head.logits(network.backbone(clips.inputs))
        losses = student_loss(network.head, raw, presence, clips.points, weights, clips.presence)
        optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        if (step + 1) % save == 0 or step + 1 == steps:
            partial = path.with_name(path.name + ".partial")
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save({**state, "step": step + 1}, partial)
            partial.replace(path)
            log(f"{variant}, seed {seed}: step {step + 1}, loss {losses['total'].item():.3f}")
    return network


@torch.no_grad()
def test(network: Student, faces: FaceSet, condition: Condition) -> float:
    """Mean NME-68 in percent over one recording of each face."""
    network.eval()
    grid = VoxelGrid(bins=5, normalisation="mean")
    errors = []
    for recording in recordings(faces, condition, seed=77):
        events = recording.events
        box = recording.box.square(CROP_SCALE)
        inside = (np.abs(events["x"] - box.center[0]) < box.width / 2) & (
            np.abs(events["y"] - box.center[1]) < box.height / 2
        )
        events = events[inside][-LATEST:]
        if len(events):
            events = events[events["t"] > events["t"][-1] - LONGEST_US]
        tensor = torch.from_numpy(grid.crop(events, box, (SIDE, SIDE)))[None]
        points = network(tensor)[0][0].numpy() * box.width + (box.x, box.y)
        errors.append(float(nme(to_68(points), to_68(recording.points), (36, 45))))
    return 100 * float(np.mean(np.minimum(errors, 1.0)))


def write_table(results: dict[str, dict[str, float]], path: Path) -> None:
    """Mean over seeds, and the largest distance of a seed from it."""
    lines = ["| NME-68 % | " + " | ".join(SETS) + " |", "|---" * (len(SETS) + 1) + "|"]
    for variant in VARIANTS:
        runs = [row for key, row in results.items() if key.rpartition("_")[0] == variant]
        if runs:
            cells = []
            for name in SETS:
                values = np.array([run[name] for run in runs])
                spread = f" ± {np.abs(values - values.mean()).max():.2f}" if len(runs) > 1 else ""
                cells.append(f"{values.mean():.2f}{spread}")
            lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path, action="append")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--save", type=int, default=250)
    parser.add_argument("--test-faces", type=int, default=100)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.faces:
        training, held = split_faces(load_faces(arguments.faces, arguments.cache))
        held = held.select(held.human)
    else:
        heads = load_heads()
        training, held = heads.select(np.arange(80)), heads.select(np.arange(80, len(heads)))
    count = min(arguments.test_faces, len(held))
    held = held.select(np.linspace(0, len(held) - 1, count).round().astype(int))
    settings = {"steps": arguments.steps, "test_faces": count, "faces": len(training)}
    stored = folder / "results.json"
    known = json.loads(stored.read_text()) if stored.is_file() else {"settings": settings}
    if known["settings"] != settings:
        raise SystemExit(
            f"{folder} holds another ablation, {known['settings']}: name another folder"
        )
    results: dict[str, dict[str, float]] = known.setdefault("results", {})
    # Seed by seed, so that every table compares all variants as soon as it can.
    for seed in range(arguments.seeds):
        for variant in arguments.variant or VARIANTS:
            key = f"{variant}_{seed}"
            if key in results:
                continue
            network = train(
                variant, seed, training, arguments.steps, arguments.save, folder,
                lambda text: print(text, flush=True),  # noqa: T201
            )  # fmt: skip
            results[key] = {name: test(network, held, one) for name, one in SETS.items()}
            partial = stored.with_name(stored.name + ".partial")
            partial.write_text(json.dumps(known, indent=1))
            partial.replace(stored)
            write_table(results, folder / "table.md")
            print((folder / "table.md").read_text(), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
