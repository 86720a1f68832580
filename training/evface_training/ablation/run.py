"""Train and evaluate row by row; nothing finished is done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from evface_edge.errors import ConfigError
from evface_training.ablation.measure import (
    draw_clip_sets,
    evaluate,
    load_landmark_network,
    measure_cost,
)
from evface_training.ablation.plan import ROWS, AblationSize, Training, trainings
from evface_training.ablation.table import write_report
from evface_training.avatar.stills import AvatarStills
from evface_training.checkpoint import load_raw, write_whole
from evface_training.clip_maker import fingerprint
from evface_training.data.faces import FaceSet
from evface_training.recipe import TrainRecipe
from evface_training.recipe_faces import faces_of
from evface_training.simulation.clips import Clips
from evface_training.tasks.init_weights import InitWeights
from evface_training.trainer.machine import Machine
from evface_training.trainer.train import train


@dataclass(frozen=True)
class Ablation:
    """Settings of an ablation study.

    Attributes:
        size: of all networks: "smoke", "tiny" or "base".
        steps: of each training on labels.
        pretraining_steps: of each training without labels.
        seeds: repetitions; each has its own weights and training clips, all the same evaluation.
        clips: of each set to evaluate on.
        rows: rows to train, with the trainings that they start from; empty: all.
    """

    size: AblationSize = "tiny"
    steps: int = 4000
    pretraining_steps: int = 4000
    seeds: int = 3
    clips: int = 1024
    rows: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("steps", "pretraining_steps", "seeds", "clips"):
            if getattr(self, name) < 1:
                raise ConfigError(f"Ablation.{name}", getattr(self, name), "1 or more")
        known = [row for rows in ROWS.values() for row in rows]
        for row in self.rows:
            if row not in known:
                raise ConfigError("--row", row, f"one of {'; '.join(known)}")


def ablation_faces(
    faces: Sequence[Path], cache: Path | None, folder: Path
) -> tuple[FaceSet, FaceSet]:
    """Faces to train on, and human-labelled faces of other people to evaluate on.

    Args:
        faces: folders of faces; without any, avatars are rendered and kept in `folder`.
        cache: a file to cache the faces in.
        folder: of the ablation.

    Raises:
        ConfigError: a folder without faces of both kinds.
        RuntimeUnavailable: avatars cannot be rendered on this machine.
    """
    avatars = TrainRecipe(name="ablation", avatars=AvatarStills())
    cache = cache or (None if faces else folder / "avatars.npz")
    training, validation = faces_of(avatars, faces, cache)
    human = validation.select(validation.human)
    return training, human if len(human) else validation


def run_ablation(
    ablation: Ablation,
    training: FaceSet,
    validation: FaceSet,
    folder: Path,
    machine: Machine | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> Path:
    """Train and evaluate what is missing in `folder`; return the path of the table.

    It goes seed by seed, so that the table soon compares all rows. A stopped run resumes at its
    last step.

    Raises:
        ConfigError: `folder` holds an ablation with other settings or faces.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = asdict(ablation)
    for name in ("rows", "seeds"):  # these may grow later
        settings.pop(name)
    settings["faces"] = fingerprint(training)["sha256"]
    stored = _stored(folder / "results.json", settings)
    clip_sets: dict[str, dict[str, Clips]] = {}
    wanted = [
        row for rows in ROWS.values() for row in rows if not ablation.rows or row in ablation.rows
    ]
    for seed in range(ablation.seeds):
        plan = trainings(ablation.size, ablation.steps, ablation.pretraining_steps, seed + 1)
        for row in wanted:
            done = stored["rows"].setdefault(row, {})
            if str(seed) in done:
                continue
            path = _trained(row, plan, folder / str(seed), training, validation, machine, log)
            recipe = plan[row].recipe
            network = load_landmark_network(path, recipe.task).eval()
            kind = f"{recipe.side} {json.dumps(dict(recipe.representation))}"
            if kind not in clip_sets:  # keep one input kind at a time: they are large
                clip_sets = {kind: draw_clip_sets(validation, recipe, ablation.clips)}
            done[str(seed)] = evaluate(network, clip_sets[kind])
            stored["costs"].setdefault(row, asdict(measure_cost(network)))
            write_whole(folder / "results.json", json.dumps(stored, indent=1).encode())
            write_report(stored, folder)
            errors = ", ".join(f"{name} {value:.2f}" for name, value in done[str(seed)].items())
            log(f"{row}, seed {seed}: {errors}")
    return folder / "table.md"


def _stored(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    if not path.is_file():
        return {"settings": settings, "rows": {}, "costs": {}}
    stored: dict[str, Any] = json.loads(path.read_text())
    for name, value in settings.items():
        old = stored["settings"].get(name)
        if old != value:
            expected = f"{old!r}, as in the ablation in {path.parent}; choose another folder"
            raise ConfigError(name, value, expected)
    return stored


def _trained(
    name: str,
    plan: dict[str, Training],
    folder: Path,
    training: FaceSet,
    validation: FaceSet,
    machine: Machine | None,
    log: Callable[[str], None],
) -> Path:
    """The checkpoint of a finished training; trains it first, and those that it starts from."""
    own, recipe = folder / slug(name), plan[name].recipe
    if is_finished(own / "last.pt", recipe):
        return own / "last.pt"
    init_weights = {
        field: _trained(other, plan, folder, training, validation, machine, log)
        for field, other in plan[name].init_weights.items()
    }
    log(f"training {name} ({folder.name})")
    path = train(recipe, training, validation, own, machine, InitWeights(**init_weights))
    if load_raw(path)["state"]["step"] < recipe.steps:
        raise KeyboardInterrupt  # the loop has saved; the same command resumes
    torch.manual_seed(0)
    return path


def is_finished(checkpoint: Path, recipe: TrainRecipe) -> bool:
    """Whether the checkpoint exists and has all steps of the recipe."""
    return checkpoint.is_file() and load_raw(checkpoint)["state"].get("step") == recipe.steps


def slug(name: str) -> str:
    """The folder of a training in the folder of its seed."""
    return "".join(c if c.isalnum() else "_" for c in name)
