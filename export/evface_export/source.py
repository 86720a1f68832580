"""What may be exported: a checkpoint, a model that came along, or a float ONNX model of ours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from evface_edge.card import ModelCard
from evface_edge.card_file import read_card
from evface_edge.errors import ModelError
from evface_edge.models import FLOAT_PRECISION, find_float_model
from evface_export.conversion import Checkpoint


@dataclass(frozen=True)
class FloatModel:
    """A network rebuilt from an ONNX model, with its card."""

    network: nn.Module
    card: ModelCard


def load_source(model: str | Path) -> Checkpoint:
    """The float network that `model` stands for, with its card.

    Args:
        model: the path of a checkpoint or of an ONNX model, or a bundled name: "evface-s" is its
            float32 form here.

    Raises:
        ModelError: no such file or name, a model without a card, or one that is not float32.
    """
    path = find_float_model(model)
    if path.suffix.lower() in (".xml", ".engine", ".plan"):
        raise ModelError(f"{path}: cannot be exported again: give its checkpoint or float32 ONNX")
    if path.suffix.lower() != ".onnx":
        from evface_training.checkpoint import load_checkpoint

        return load_checkpoint(path)
    from evface_export.onnx_network import from_onnx

    card = read_card(path)
    if card.precision != FLOAT_PRECISION:
        raise ModelError(
            f"{path}: is {card.precision}, and only a float32 model can be exported: give its "
            "checkpoint, or the model that `--target onnx-fp32` wrote"
        )
    network = from_onnx(path.read_bytes(), origin=str(path))
    # What was measured of the float artefact says nothing of the one to be made.
    return FloatModel(network, replace(card, metrics={}))
