"""Checkpoints: weights, configuration, card and the state of a training in one file.

    network  state_dict of the (averaged) network     kind    of network, such as "student"
    config   its configuration, JSON                  card    the model card, JSON; "" for networks
    recipe   the resolved recipe, JSON                        without one (SSMER, teacher)
    data     SHA-256 of the faces, JSON               state   to resume from; {} without

Loaded with `weights_only=True`: a checkpoint cannot contain code.
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
    """A stored student in eval mode, float32, with its card."""

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
    """Write a checkpoint atomically: the previous one is replaced when the new one is complete.

    Args:
        card: of a student; other networks have none.
        state: what a resumed training needs.
        kind: of network.
        config: of the network, by default the dataclass `network.config`.
        recipe: the resolved recipe.
        data: the training data: name → SHA-256, number of faces and the like.

    Raises:
        ModelError: the disk is full, or the folder cannot be written; the old file is unchanged.
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
    """Replace the card in a checkpoint.

    Raises:
        ModelError: it cannot be read or written; the old file is unchanged.
    """
    _write(path, load_raw(path) | {"card": card.to_json()})


def _write(path: Path, stored: Mapping[str, Any]) -> None:
    content = io.BytesIO()
    torch.save(dict(stored), content)
    write_whole(path, content.getbuffer())


def write_whole(path: Path, content: Buffer) -> None:
    """Write a file atomically: under another name first, then moved to `path`.

    Raises:
        ModelError: it cannot be written; the old file is unchanged.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        # torch.save to a path does not report a full disk.
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        kept = "; the previous checkpoint is intact" if path.is_file() else ""
        raise ModelError(
            f"cannot be saved: {error.strerror}{kept}",
            path=path,
            fix="free some disk space, or choose another folder",
        ) from error


def load_raw(path: Path) -> dict[str, Any]:
    """The stored mapping.

    Raises:
        ModelError: missing, damaged, or no checkpoint of this project.
    """
    if not path.is_file():
        raise ModelError("no such checkpoint", path=path)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        reason = (str(error) or "empty").splitlines()[0]
        raise ModelError(
            f"not a checkpoint, or damaged ({reason})", path=path, fix="copy or train it again"
        ) from None
    if not isinstance(stored, dict) or any(key not in stored for key in _KEYS):
        raise ModelError(
            f"not a checkpoint of evface-edge: expected {', '.join(_KEYS)}",
            path=path,
            expected=", ".join(_KEYS),
        )
    return stored


def load_network(path: Path) -> Student:
    """The student in a checkpoint, in eval mode, without its card.

    Raises:
        ModelError: missing, damaged, no student, or weights that do not fit.
    """
    return _student(path, load_raw(path))


def load_checkpoint(path: Path) -> Checkpoint:
    """The student in a checkpoint, in eval mode, with its card.

    Raises:
        ModelError: missing, damaged, no student, or weights that do not fit.
    """
    stored = load_raw(path)
    network = _student(path, stored)
    return Checkpoint(network, ModelCard.from_json(stored["card"], origin=str(path)))


def _student(path: Path, stored: Mapping[str, Any]) -> Student:
    check_kind(path, stored, "student")
    try:
        network = Student(build(StudentConfig, json.loads(stored["config"]), str(path)))
        load_weights(network, stored["network"], path)
    except (ConfigError, ValueError) as error:
        raise ModelError(f"made by another version: {error}", path=path) from None
    return network.eval()


def check_kind(path: Path, stored: Mapping[str, Any], kind: str) -> None:
    """Check the kind of network in a checkpoint.

    Raises:
        ModelError: another kind.
    """
    if stored["kind"] != kind:
        raise ModelError(
            f"holds a {stored['kind']}, expected a {kind}",
            path=path,
            field="kind",
            value=stored["kind"],
            expected=kind,
        )


def load_weights(network: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Load a state_dict.

    Raises:
        ModelError: weights of another network, or of another number of landmarks.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise ModelError(f"weights do not fit the network: {' '.join(lines)}", path=path) from None


def load_for_runtime(
    path: Path,
) -> tuple[Student, dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """The student in a checkpoint, with the shapes of its inputs and outputs by name.

    Entry point of `evface_runtimes.torch_runtime`.
    """
    checkpoint = load_checkpoint(path)
    inputs, outputs = (
        {spec.name: tuple(spec.shape) for spec in specs}
        for specs in (checkpoint.card.inputs, checkpoint.card.outputs)
    )
    return checkpoint.network, inputs, outputs
