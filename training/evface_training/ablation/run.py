"""Train and judge row by row; what is done is never done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from evface_edge.errors import ConfigError
from evface_training.ablation.measure import cost, draw_moments, judge, load_network
from evface_training.ablation.plan import ROWS, AblationSize, Training, trainings
from evface_training.ablation.table import write_report
from evface_training.checkpoint import load_raw, write_whole
from evface_training.clip_maker import fingerprint
from evface_training.data.faces import FaceSet
from evface_training.recipe import TrainRecipe
from evface_training.simulation.clips import Clips
from evface_training.tasks.table import InitWeights
from evface_training.trainer.machine import Machine
from evface_training.trainer.train import train


@dataclass(frozen=True)
class Ablation:
    """What is compared.

    Attributes:
        size: of all networks: "smoke", "tiny" or "base".
        steps: of each training on labels; pretraining_steps: of each without.
        seeds: how many; each draws its own weights and clips, and sees the same moments.
        clips: of each moment, to judge with.
        rows: only these, and what they begin from; all where empty.
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


def run_ablation(
    ablation: Ablation,
    training: FaceSet,
    validation: FaceSet,
    folder: Path,
    machine: Machine | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> Path:
    """Train what has not been trained, judge what has not been judged; → the table's path.

    Seed by seed, so that the table compares all rows as soon as it can. A run that was stopped
    goes on with the step it stood at.

    Raises:
        ConfigError: another ablation, or other faces, than those that `folder` holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = asdict(ablation)
    for name in ("rows", "seeds"):  # more of them may be asked for later
        settings.pop(name)
    settings["faces"] = fingerprint(training)["sha256"]
    stored = _stored(folder / "results.json", settings)
    moments: dict[str, dict[str, Clips]] = {}
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
            network = load_network(path, recipe.task).eval()
            looks = f"{recipe.side} {json.dumps(dict(recipe.representation))}"
            if looks not in moments:  # one kind at a time: they are large
                moments = {looks: draw_moments(validation, recipe, ablation.clips)}
            done[str(seed)] = judge(network, moments[looks])
            stored["costs"].setdefault(row, asdict(cost(network)))
            write_whole(folder / "results.json", json.dumps(stored, indent=1).encode())
            write_report(stored, folder)
            figures = ", ".join(f"{name} {value:.2f}" for name, value in done[str(seed)].items())
            log(f"{row}, seed {seed}: {figures}")
    return folder / "table.md"


def _stored(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    if not path.is_file():
        return {"settings": settings, "rows": {}, "costs": {}}
    stored: dict[str, Any] = json.loads(path.read_text())
    for name, value in settings.items():
        if stored["settings"].get(name) != value:
            raise ConfigError(
                name,
                value,
                f"{stored['settings'].get(name)!r}, as the ablation in {path.parent} has it; "
                "choose another folder",
            )
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
    """The checkpoint of a training that is done, and before it those that it begins from."""
    own, recipe = folder / slug(name), plan[name].recipe
    if has_ended(own / "last.pt", recipe):
        return own / "last.pt"
    init_weights = {
        field: _trained(start, plan, folder, training, validation, machine, log)
        for field, start in plan[name].init_weights.items()
    }
    log(f"training {name} ({folder.name})")
    path = train(recipe, training, validation, own, machine, InitWeights(**init_weights))
    if load_raw(path)["state"]["step"] < recipe.steps:
        raise KeyboardInterrupt  # the loop has saved; the same command goes on
    torch.manual_seed(0)
    return path


def has_ended(checkpoint: Path, recipe: TrainRecipe) -> bool:
    """Whether it is there, and of the last step."""
    return checkpoint.is_file() and load_raw(checkpoint)["state"].get("step") == recipe.steps


def slug(name: str) -> str:
    """The folder of a training within its seed's."""
    return "".join(c if c.isalnum() else "_" for c in name)
