"""Checkpoints: weights, optimiser, configuration and card in one file, loaded without pickle."""

from __future__ import annotations

import dataclasses
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evface_edge.card import ModelCard
from evface_edge.errors import ModelError
from evface_training.config import build
from evface_training.networks.student import Student, StudentConfig

_KEYS = ("student", "config", "card", "state")


@dataclass(frozen=True)
class Checkpoint:
    """A student as stored: ready to run (eval mode, float32), with its card."""

    network: Student
    card: ModelCard


def save_checkpoint(
    path: Path, network: Student, card: ModelCard, state: dict[str, Any] | None = None
) -> None:
    """Write atomically: the previous checkpoint stays whole until the new one is.

    Args:
        state: what training needs to go on.
    """
    partial = path.with_name(path.name + ".partial")
    torch.save(
        {
            "student": network.state_dict(),
            "config": json.dumps(dataclasses.asdict(network.config)),
            "card": card.to_json(),
            "state": state or {},
        },
        partial,
    )
    partial.replace(path)


def load_raw(path: Path) -> dict[str, Any]:
    """The stored mapping.

    Raises:
        ModelError: missing, damaged, or not one of ours.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such checkpoint")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path}: not a checkpoint, or damaged ({(str(error) or 'empty').splitlines()[0]})"
        ) from None
    if not isinstance(stored, dict) or any(key not in stored for key in _KEYS):
        raise ModelError(f"{path}: not a checkpoint of evface-edge (expected {', '.join(_KEYS)})")
    return stored


def load_network(path: Path) -> Student:
    """The student in a checkpoint, in eval mode, whatever its card says.

    Raises:
        ModelError: missing, damaged, not one of ours, or weights that do not fit.
    """
    return _network(path, load_raw(path))


def load_checkpoint(path: Path) -> Checkpoint:
    """The student in a checkpoint, ready to run, with its card.

    Raises:
        ModelError: missing, damaged, not one of ours, or weights that do not fit.
    """
    stored = load_raw(path)
    card = ModelCard.from_json(stored["card"], origin=str(path))
    return Checkpoint(_network(path, stored), card)


def _network(path: Path, stored: dict[str, Any]) -> Student:
    network = Student(build(StudentConfig, json.loads(stored["config"]), str(path)))
    try:
        network.load_state_dict(stored["student"])
    except RuntimeError as error:
        raise ModelError(f"{path}: weights do not fit the network: {error}") from None
    return network.eval()
