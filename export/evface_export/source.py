"""The float network to export: of a checkpoint, a bundled model, or an onnx-fp32 model."""

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
    """The float network of `model`, with its card.

    Args:
        model: the path of a checkpoint or of an ONNX model, or a bundled name; "evface-s" means
            its float32 model here.

    Raises:
        ModelError: no such file or name, a model without a card, or not in float32.
    """
    path = find_float_model(model)
    if path.suffix.lower() in (".xml", ".engine", ".plan"):
        raise ModelError(
            "cannot be exported again",
            path=path,
            field="suffix",
            value=path.suffix,
            fix="export its checkpoint or onnx-fp32 model",
        )
    if path.suffix.lower() != ".onnx":
        from evface_training.checkpoint import load_checkpoint

        return load_checkpoint(path)
    from evface_export.onnx_network import from_onnx

    card = read_card(path)
    if card.precision != FLOAT_PRECISION:
        raise ModelError(
            f"is {card.precision}, and only float32 models can be exported",
            path=path,
            field="precision",
            value=card.precision,
            expected=FLOAT_PRECISION,
            fix="export its checkpoint or onnx-fp32 model",
        )
    network = from_onnx(path.read_bytes(), path=path)
    # The metrics of the float artefact are not those of the new one.
    return FloatModel(network, replace(card, metrics={}))
