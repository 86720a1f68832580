"""Does the simulation matter? Small students, each trained on another part of it.

    python -m benchmarks simulation_ablation --faces faces/300w_train -o runs/ablation --steps 3000
    python -m benchmarks simulation_ablation --document runs/ablation/results.json

All students see the same faces and the same number of clips, in the same order of identities; they
differ in the simulation alone:

    full          the whole prior: noise of every kind, pauses, avatars that turn in depth
    clean         thresholds, bandwidth and everything else of an ideal camera
    plane         avatars do not turn: they move in the image plane
    no pauses     motion never stops or starts within a window
    ellipsoid     avatars turn as ellipsoids, in small turns
    static        no objects that pass, no shaking camera

They are tested on people kept for validation, on recordings that none of them was trained on: lists
of events through cameras and speeds drawn apart from the training prior, and avatars that turn
exactly; and on clips of unseen cameras whose motion stops or starts within the window.

The students take turns, --save steps each, and after each round the table compares all of them at
the same step. Run it again after it was stopped, or with more --steps, and it goes on from there.
Without --faces it trains on the avatars of the package (a smoke test). --document writes a
copy of the results in docs/data, and their table into docs/explanation/simulation.md.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
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
#: Each clip is drawn so often on average, from the newest of so many groups; a stretch begins with
#: some new ones.
REUSE, GROUPS, FIRST_GROUPS = 4, 128, 16
CROP_SCALE = 1.35
RATE = 1.5e-3
LATEST, LONGEST_US = 12_000, 200_000
DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = (
    "<!-- ablation: written by python -m benchmarks simulation_ablation -->",
    "<!-- end of ablation -->",
)
Floats = NDArray[np.floating]


def student(side: int) -> StudentConfig:
    return StudentConfig(side=side, stem="patch", channels=(32, 64, 96))


def resolutions(side: int) -> tuple[tuple[int, float], ...]:
    """Of sensors across the crop, and how often each is drawn: none finer than the input."""
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


class Training:
    """A student of one variant, on its way; from its last checkpoint where there is one.

    The rate of learning stays what it is and the student that is tested is the running average of
    its weights, so that students may be compared at any step.
    """

    def __init__(self, variant: str, seed: int, side: int, folder: Path) -> None:
        torch.manual_seed(seed)
        self.variant, self.seed, self.step = variant, seed, 0
        self._side = side
        self._network = Student(student(side))
        self.average = AveragedModel(
            self._network,
            multi_avg_fn=get_ema_multi_avg_fn(0.99),  # type: ignore[no-untyped-call]
            use_buffers=True,
        )
        self._optimiser = torch.optim.AdamW(self._network.parameters(), lr=RATE, weight_decay=0.02)
        self._path = folder / f"{variant.replace(' ', '_')}_{seed}.pt"
        if self._path.is_file():
            stored = torch.load(self._path, weights_only=True)
            self.step = stored["step"]
            for name, part in self._parts().items():
                part.load_state_dict(stored[name])

    def _parts(self) -> dict[str, Any]:
        return {"network": self._network, "average": self.average, "optimiser": self._optimiser}

    def go_on(self, faces: FaceSet, until: int) -> float:
        """Train up to a step, and keep it; the last loss."""
        # A new seed for each stretch: a run that goes on sees new clips.
        seed = 1_000_003 * self.seed + self.step
        simulator = ClipSimulator(VARIANTS[self.variant], self._side, seed)
        simulator.RESOLUTIONS = resolutions(self._side)
        random, loss = np.random.default_rng(seed), float("nan")
        pool: deque[list[torch.Tensor]] = deque(maxlen=GROUPS)
        pool.extend(_simulated(simulator, faces, random) for _ in range(FIRST_GROUPS))
        self._network.train()
        while self.step < until:
            pool.append(_simulated(simulator, faces, random))
            inputs, points, present, weights = _drawn(pool, random)
            for group in self._optimiser.param_groups:
                group["lr"] = RATE * min(1, (self.step + 1) / 100)
            head = self._network.head
            with torch.autocast("cpu", torch.bfloat16):
                raw, presence = head.logits(self._network.backbone(inputs))
            losses = student_loss(head, raw.float(), presence.float(), points, weights, present)
            self._optimiser.zero_grad(set_to_none=True)
            losses["total"].backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
            self._optimiser.step()
            self.average.update_parameters(self._network)
            self.step += 1
            loss = losses["total"].item()
        state = {name: part.state_dict() for name, part in self._parts().items()}
        _replace(self._path, partial(torch.save, {**state, "step": self.step}))
        return loss


def _drawn(pool: Sequence[list[torch.Tensor]], random: np.random.Generator) -> list[torch.Tensor]:
    """A batch: inputs, points, presence, weights."""
    size = BATCH // REUSE
    places = random.choice(size * len(pool), BATCH, replace=False)
    drawn = [[part[place % size] for part in pool[place // size]] for place in places]
    return [torch.stack(part).float() for part in zip(*drawn, strict=True)]


def _simulated(
    simulator: ClipSimulator, faces: FaceSet, random: np.random.Generator
) -> list[torch.Tensor]:
    """New clips of the pool: inputs in half the memory, points, presence, weights."""
    chosen = random.integers(len(faces), size=BATCH // REUSE)
    clips = simulator(
        torch.from_numpy(faces.images[chosen]), torch.from_numpy(faces.points[chosen])
    )
    weights = torch.from_numpy(faces.weights[chosen])
    weights = (weights + weights[:, torch.from_numpy(MIRROR)]) / 2  # faces may be mirrored
    return [clips.inputs.half(), clips.points, clips.presence, weights]


def test_set(faces: FaceSet, name: str, side: int, folder: Path) -> tuple[torch.Tensor, Floats]:
    """Inputs (N, 10, side, side) and points (N, 98, 2), fractions of the crop; made only once."""
    path = folder / f"test_{name.replace(' ', '_')}.npz"
    if not path.is_file():
        inputs, points = (
            _paused(faces, side) if name == PAUSED else _recorded(faces, SETS[name], side)
        )
        half = inputs.astype(np.float16)
        _replace(path, partial(_save_npz, inputs=half, points=points))
    with np.load(path) as stored:
        return torch.from_numpy(stored["inputs"].astype(np.float32)), stored["points"]


def _recorded(faces: FaceSet, condition: Condition, side: int) -> tuple[Floats, Floats]:
    grid = VoxelGrid(bins=5, normalisation="mean")
    inputs, points = [], []
    for recording in recordings(faces, condition, seed=77):
        events = recording.events
        box = recording.box.square(CROP_SCALE)
        inside = (np.abs(events["x"] - box.center[0]) < box.width / 2) & (
            np.abs(events["y"] - box.center[1]) < box.height / 2
        )
        events = events[inside][-LATEST:]
        if len(events):
            events = events[events["t"] > events["t"][-1] - LONGEST_US]
        inputs.append(grid.crop(events, box, (side, side)))
        points.append((recording.points - (box.x, box.y)) / box.width)
    return np.stack(inputs), np.stack(points).astype(np.float32)


def _paused(faces: FaceSet, side: int) -> tuple[Floats, Floats]:
    simulator = ClipSimulator(_PAUSED, side, 77)
    simulator.RESOLUTIONS = ((128, 1.0),)
    clips = simulator(torch.from_numpy(faces.images), torch.from_numpy(faces.points))
    return clips.inputs.numpy(), clips.points.numpy()


@torch.no_grad()
def test(network: nn.Module, inputs: torch.Tensor, points: Floats) -> list[float]:
    """NME-68 of each face in percent, at most 100."""
    network.eval()
    errors = []
    for index in range(len(inputs)):
        found = network(inputs[index : index + 1])[0][0].numpy()
        errors.append(100 * min(float(nme(to_68(found), to_68(points[index]), (36, 45))), 1.0))
    return [round(error, 2) for error in errors]


def as_table(results: Mapping[str, Any]) -> str:
    """Rows: students. Cells: mean error, and in brackets how far it is from the first row's, with
    the standard error of the mean difference over faces (and seeds)."""
    errors: dict[str, dict[str, Floats]] = {}
    for key, row in results["rows"].items():
        known = errors.setdefault(key.rpartition("_")[0], {})
        for name, values in row.items():
            known[name] = np.concatenate([known.get(name, np.empty(0)), values])
    names = list(next(iter(errors.values())))
    lines = ["| NME-68 % | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    first = errors.get("full")
    for variant in VARIANTS:
        if variant not in errors:
            continue
        cells = []
        for name in names:
            cell = f"{errors[variant][name].mean():.1f}"
            if variant != "full" and first is not None:
                count = min(len(first[name]), len(errors[variant][name]))
                more = errors[variant][name][:count] - first[name][:count]
                cell += f" ({more.mean():+.1f} ± {more.std(ddof=1) / count**0.5:.1f})"
            cells.append(cell)
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_document(results_path: Path) -> None:
    """The table into docs/explanation/simulation.md, and its figures in docs/data."""
    results = json.loads(results_path.read_text(encoding="utf-8"))
    page = DOCS / "explanation" / "simulation.md"
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page}: expected the lines {BEGIN!r} and {END!r}")
    settings = results["settings"]
    about = (
        f"{results['steps']} steps of {settings['batch']} clips of {settings['faces']} faces, "
        f"{settings['parameters']} parameters, inputs {settings['side']} px; tested on "
        f"{settings['test_faces']} faces of other people. In brackets: against the full model, "
        "± standard error over faces."
    )
    page.write_text(f"{before}{BEGIN}\n{about}\n\n{as_table(results)}{END}{after}", "utf-8")
    _save_json(results, DOCS / "data" / "simulation_ablation.json")


def _save_npz(path: Path, **arrays: Floats) -> None:
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def _save_json(values: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(values) + "\n", encoding="utf-8")


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """A file that is whole or not there."""
    unfinished = path.with_name(path.name + ".partial")
    write(unfinished)
    unfinished.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path, action="append")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--side", type=int, default=96, help="of the inputs, pixels")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--save", type=int, default=100)
    parser.add_argument("--test-faces", type=int, default=100)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--document", type=Path, help="write the table of these results, no more")
    arguments = parser.parse_args()
    if arguments.document:
        write_document(arguments.document)
        return
    torch.set_num_threads(arguments.threads)
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.faces:
        faces, held = split_faces(load_faces(arguments.faces, arguments.cache))
        held = held.select(held.human)
    else:
        avatars = load_avatars()
        faces, held = avatars.select(np.arange(80)), avatars.select(np.arange(80, len(avatars)))
    count = min(arguments.test_faces, len(held))
    held = held.select(np.linspace(0, len(held) - 1, count).round().astype(int))
    settings = {
        "batch": BATCH,
        "side": arguments.side,
        "rate": RATE,
        "parameters": sum(p.numel() for p in Student(student(arguments.side)).parameters()),
        "faces": len(faces),
        "test_faces": count,
        "seeds": arguments.seeds,
        "variants": arguments.variant or list(VARIANTS),
        "round": arguments.save,
    }
    stored = folder / "results.json"
    known: dict[str, Any] = {"settings": settings, "steps": 0}
    if stored.is_file():
        known = json.loads(stored.read_text())
    if known["settings"] != settings:
        raise SystemExit(
            f"{folder} holds another ablation, {known['settings']}: name another folder"
        )
    trainings = [
        Training(variant, seed, arguments.side, folder)
        for seed in range(arguments.seeds)
        for variant in settings["variants"]
    ]
    while known["steps"] < arguments.steps:
        until = known["steps"] + arguments.save
        rows = {}
        for training in trainings:
            key = f"{training.variant}_{training.seed}"
            if training.step < until:
                loss = training.go_on(faces, until)
                print(f"{key}: step {until}, loss {loss:.3f}", flush=True)  # noqa: T201
            rows[key] = {
                name: test(training.average, *test_set(held, name, arguments.side, folder))
                for name in (*SETS, PAUSED)
            }
        known |= {"steps": until, "rows": rows}
        _replace(stored, partial(_save_json, known))
        table = as_table(known)
        (folder / "table.md").write_text(f"step {until}\n\n{table}")
        print(table, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
