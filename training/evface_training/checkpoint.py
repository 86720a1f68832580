"""Checkpoints: weights, configuration, card and all that a run needs to go on, in one file.

    network  state_dict of the (averaged) network     kind    what it is, such as "student"
    config   its configuration, JSON                  card    the model card, JSON; "" where it has
    recipe   the resolved recipe, JSON                        none of its own (SSMER, teacher)
    data     SHA-256 of the faces, JSON               state   {} once a run is finished with

Loaded with `weights_only=True`: a checkpoint from elsewhere can hold numbers and texts, not code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from typing_extensions import Buffer

from evface_edge.card import ModelCard
from evface_edge.errors import ConfigError, ModelError
from evface_training.config import build
from evface_training.networks.student import Student
from evface_training.networks.student_config import StudentConfig

_KEYS = ("network", "kind", "config", "card", "state")


@dataclass(frozen=True)
class Checkpoint:
    """A student as stored: ready to run (eval mode, float32), with its card."""

    network: Student
    card: ModelCard


def save_checkpoint(
    path: Path,
    network: nn.Module,
    card: ModelCard | None,
    state: Mapping[str, Any] | None = None,
    *,
    kind: str = "student",
    config: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write atomically: the previous checkpoint stays whole until the new one is.

    Args:
        network: its `config` is a dataclass, unless `config` is given.
        state: what training needs to go on.
        recipe: the resolved recipe.
        data: what it was trained on: name → SHA-256 and the like.

    Raises:
        ModelError: the disk is full, or the folder cannot be written; nothing was lost.
    """
    stored = {
        "network": network.state_dict(),
        "kind": kind,
        "config": json.dumps(config or dataclasses.asdict(network.config)),  # type: ignore[call-overload]
        "card": "" if card is None else card.to_json(),
        "recipe": json.dumps(recipe or {}),
        "data": json.dumps(data or {}),
        "state": dict(state or {}),
    }
    _write(path, stored)


def replace_card(path: Path, card: ModelCard) -> None:
    """Another card for a checkpoint, everything else as it is.

    Raises:
        ModelError: it cannot be read, or not be written; what was there still is.
    """
    _write(path, load_raw(path) | {"card": card.to_json()})


def _write(path: Path, stored: Mapping[str, Any]) -> None:
    content = io.BytesIO()
    torch.save(dict(stored), content)
    write_whole(path, content.getbuffer())


def write_whole(path: Path, content: Buffer) -> None:
    """Write a file under another name, then put it in place of `path`.

    Raises:
        ModelError: it could not be written; what was at `path` still is.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        # Not through torch.save, which does not say of a disk that it is full.
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        kept = "; the checkpoint before is whole" if path.is_file() else ""
        raise ModelError(
            f"{path}: cannot be saved: {error.strerror}{kept}; free some space, or choose another "
            "folder"
        ) from error


def load_raw(path: Path) -> dict[str, Any]:
    """The stored mapping.

    Raises:
        ModelError: missing, damaged, or not one of ours.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such checkpoint")
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path}: not a checkpoint, or damaged ({(str(error) or 'empty').splitlines()[0]}); "
            "take another copy of it"
        ) from None
    if isinstance(stored, dict) and "student" in stored and "network" not in stored:
        # As version 0.1.0 wrote them; its `state` cannot be gone on with.
        stored = stored | {"network": stored["student"], "kind": "student", "state": {}}
    if not isinstance(stored, dict) or any(key not in stored for key in _KEYS):
        raise ModelError(f"{path}: not a checkpoint of evface-edge (expected {', '.join(_KEYS)})")
    return stored


def load_network(path: Path) -> Student:
    """The student in a checkpoint, in eval mode, whatever its card says.

    Raises:
        ModelError: missing, damaged, not one of ours, or weights that do not fit.
    """
    return _student(path, load_raw(path))


def load_checkpoint(path: Path) -> Checkpoint:
    """The student in a checkpoint, ready to run, with its card.

    Raises:
        ModelError: missing, damaged, not one of ours, or weights that do not fit.
    """
    stored = load_raw(path)
    network = _student(path, stored)
    return Checkpoint(network, ModelCard.from_json(stored["card"], origin=str(path)))


def _student(path: Path, stored: Mapping[str, Any]) -> Student:
    if stored["kind"] != "student":
        raise ModelError(
            f"{path}: holds a {stored['kind']}, expected a student; only students run on a device"
        )
    try:
        network = Student(build(StudentConfig, json.loads(stored["config"]), str(path)))
        load_weights(network, stored["network"], path)
    except (ConfigError, ValueError) as error:
        raise ModelError(f"{path}: made by another version of evface-edge: {error}") from None
    return network.eval()


def load_weights(network: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Raises: ModelError: weights of another network, or of another number of landmarks."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise ModelError(f"{path}: weights do not fit the network: {' '.join(lines)}") from None


def load_for_runtime(
    path: Path,
) -> tuple[Student, dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """The student in a checkpoint, with the shapes of its input and outputs.

    What `evface_runtimes.torch_runtime` asks for, through an entry point.
    """
    checkpoint = load_checkpoint(path)
    inputs, outputs = (
        {spec.name: tuple(spec.shape) for spec in specs}
        for specs in (checkpoint.card.inputs, checkpoint.card.outputs)
    )
    return checkpoint.network, inputs, outputs
