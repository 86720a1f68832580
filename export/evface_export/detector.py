"""Export a face detector as an INT8 ONNX model, and refuse it if its recall falls."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import evface_runtimes
from evface_edge.card import ModelCard, TensorSpec, WindowPolicy
from evface_edge.card_file import embed_card, read_card
from evface_edge.errors import ExportError, ModelError
from evface_export.graph import expected_warnings, to_onnx
from evface_export.pipeline import working_folder
from evface_export.quantize import quantize
from evface_export.saturation import check_saturation
from evface_training.checkpoint import load_raw, load_weights
from evface_training.config import build
from evface_training.data.faces import FaceSet
from evface_training.detector.maker import draw_scenes
from evface_training.detector.network import STRIDE, Detector, DetectorConfig
from evface_training.detector.scenes import Scenes
from evface_training.detector.task import detection_metrics, validate_detector
from evface_training.recipe import TrainRecipe

#: Number of scenes for calibration, and of others for evaluation.
CALIBRATION_SCENES, EVALUATION_SCENES = 192, 384
_SEED = 4_242
#: False peaks a scene at the threshold of the card. Most of them are refused later by the landmark
#: network, which sees far more of the face.
FALSE_A_SCENE = 1.5
#: Largest loss of recall, in percentage points.
MAX_LOSS = 2.0
_BATCH = 32


@dataclass(frozen=True)
class ExportedDetector:
    """A written face detector; recall in percent, before and after quantisation."""

    path: Path
    size_bytes: int
    recall_fp32_percent: float
    recall_int8_percent: float

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.size_bytes / 1e3:.0f} kB, recall {self.recall_fp32_percent:.1f} % "
            f"in float32, {self.recall_int8_percent:.1f} % in INT8"
        )


def is_detector(model: str) -> bool:
    """Whether `model` is the path of a checkpoint of a face detector."""
    path = Path(model)
    return path.suffix == ".pt" and path.is_file() and load_raw(path)["kind"] == "detector"


def load_detector(path: Path) -> tuple[Detector, TrainRecipe]:
    """The face detector in a checkpoint, in eval mode, and its training recipe.

    Raises:
        ModelError: a missing or damaged file, or another kind of checkpoint.
    """
    stored = load_raw(path)
    if stored["kind"] != "detector":
        raise ModelError(
            f"contains a {stored['kind']}",
            path=path,
            field="kind",
            value=stored["kind"],
            expected="detector",
        )
    network = Detector(build(DetectorConfig, json.loads(stored["config"]), str(path)))
    load_weights(network, stored["network"], path)
    return network.eval(), build(TrainRecipe, json.loads(stored["recipe"]), str(path))


def export_detector(checkpoint: Path, faces: FaceSet, output: Path | None) -> ExportedDetector:
    """Quantise, compare, write.

    Args:
        faces: for the simulated scenes.
        output: path of the model, or a folder; by default the current one.

    Raises:
        ModelError: the checkpoint cannot be read, or contains no detector.
        ExportError: INT8 finds too few faces, can saturate, or the file cannot be written.
    """
    network, recipe = load_detector(checkpoint)
    path = output or Path()
    if path.suffix != ".onnx":
        path = path / f"{recipe.name}-int8.onnx"
    evaluation = draw_scenes(faces, recipe, EVALUATION_SCENES, _SEED + 1)
    before = validate_detector(network, evaluation, FALSE_A_SCENE)
    model = _quantised(network, draw_scenes(faces, recipe, CALIBRATION_SCENES, _SEED))
    check_saturation(model)
    with working_folder(path) as folder:
        draft = folder / path.name
        draft.write_bytes(model)
        after = _metrics(draft, evaluation)
        loss = before["found_percent"] - after["found_percent"]
        if loss > MAX_LOSS:
            raise ExportError(
                f"nothing was written: the recall is {after['found_percent']:.1f} % in INT8, and "
                f"{before['found_percent']:.1f} % in float32",
                field="recall loss",
                value=loss,
                expected=f"at most {MAX_LOSS:g} percentage points",
                fix="calibrate with other faces (--faces)",
            )
        content = embed_card(model, _card(network, recipe, before, after))
        draft.write_bytes(content)
        read_card(draft)
        os.replace(draft, path)
    return ExportedDetector(path, len(content), before["found_percent"], after["found_percent"])


def _quantised(network: Detector, scenes: Scenes) -> bytes:
    example = torch.zeros(2, *scenes.inputs.shape[1:])
    with expected_warnings():
        quantized = quantize(network, example, torch.split(scenes.inputs, _BATCH))
        return to_onnx(quantized, example, "cells", ["heat", "place"])


def _card(
    network: Detector,
    recipe: TrainRecipe,
    before: Mapping[str, float],
    after: Mapping[str, float],
) -> ModelCard:
    grid = network.config.grid
    height, width = grid.height // STRIDE, grid.width // STRIDE
    packages = ("torch", "torchao", "onnx", "onnxscript", "onnxruntime")
    return ModelCard(
        name=recipe.name,
        version="1",
        precision="int8",
        target="onnx-int8",
        representation=grid.to_config(),
        crop_scale=1.0,
        window=WindowPolicy(1.0, 1, grid.max_events, grid.lookback_us),
        inputs=(TensorSpec("cells", (-1, grid.channels, grid.height, grid.width)),),
        outputs=(
            TensorSpec("heat", (-1, 1, height, width)),
            TensorSpec("place", (-1, 3, height, width)),
        ),
        presence_threshold=round(after["threshold"], 4),
        sigma_limit=1.0,  # the outputs have no σ
        built_with={name: importlib.metadata.version(name) for name in packages},
        training={"recipe": recipe.name},
        calibration={"set": "simulated scenes", "count": CALIBRATION_SCENES, "seed": _SEED},
        metrics={
            "found_percent_fp32": before["found_percent"],
            "found_percent": after["found_percent"],
            "false_peaks_a_scene": FALSE_A_SCENE,
            "iou_percent": after["iou_percent"],
        },
    )


def _metrics(path: Path, scenes: Scenes) -> dict[str, float]:
    heat, place = [], []
    with evface_runtimes.load(path, runtime="onnxruntime", device="cpu") as runtime:
        for part in torch.split(scenes.inputs, _BATCH):
            outputs = runtime.run({"cells": part.numpy()})
            heat.append(outputs["heat"])
            place.append(outputs["place"])
    return detection_metrics(np.concatenate(heat), np.concatenate(place), scenes, FALSE_A_SCENE)
