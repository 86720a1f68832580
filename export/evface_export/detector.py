"""Export the face detector as an INT8 ONNX model; written only if its recall stays the same."""

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
from evface_export.quantize import quantize
from evface_training.checkpoint import load_raw, load_weights
from evface_training.config import build
from evface_training.data.faces import FaceSet
from evface_training.detector.maker import draw_scenes
from evface_training.detector.network import STRIDE, Detector, DetectorConfig
from evface_training.detector.scenes import Scenes
from evface_training.detector.task import detection_metrics, validate_detector
from evface_training.recipe import TrainRecipe

#: Scenes that INT8 takes its ranges from, and others that judge it.
CALIBRATION, JUDGING = 192, 384
_SEED = 4_242
#: False peaks a scene that the threshold of the card lets pass: the landmark network, which judges
#: them, is far better at telling a face than a few cells are.
FALSE_A_SCENE = 1.5
#: Percentage points of faces found that INT8 may cost.
MAX_LOSS = 2.0
_BATCH = 32


@dataclass(frozen=True)
class ExportedDetector:
    """What was written, and faces found in percent before and after."""

    path: Path
    size_bytes: int
    found_fp32: float
    found_int8: float


def load_detector(path: Path) -> tuple[Detector, TrainRecipe]:
    """The face detector in a checkpoint, in eval mode, and the recipe it was trained by.

    Raises:
        ModelError: missing, damaged, or no detector.
    """
    stored = load_raw(path)
    if stored["kind"] != "detector":
        raise ModelError(f"{path}: holds a {stored['kind']}, expected a face detector")
    network = Detector(build(DetectorConfig, json.loads(stored["config"]), str(path)))
    load_weights(network, stored["network"], path)
    return network.eval(), build(TrainRecipe, json.loads(stored["recipe"]), str(path))


def export_detector(
    checkpoint: Path, faces: FaceSet, output: Path, *, training: Mapping[str, str]
) -> ExportedDetector:
    """Quantise, compare, write.

    The threshold of the card is the one at which simulated scenes have FALSE_A_SCENE false peaks.

    Args:
        faces: to make scenes of; not those that the result will be measured with.
        output: path of the model.
        training: texts for the card: "data", "licence", ...

    Raises:
        ModelError: the checkpoint cannot be read, or holds no detector.
        ExportError: INT8 finds fewer faces than allowed, or the file cannot be written.
    """
    network, recipe = load_detector(checkpoint)
    calibrating = draw_scenes(faces, recipe, CALIBRATION, _SEED)
    judging = draw_scenes(faces, recipe, JUDGING, _SEED + 1)
    before = validate_detector(network, judging, FALSE_A_SCENE)
    grid = network.config.grid
    example = torch.zeros(2, grid.channels, grid.height, grid.width)
    with expected_warnings():
        quantized = quantize(network, example, torch.split(calibrating.inputs, _BATCH))
        model = to_onnx(quantized, example, "cells", ["heat", "place"])
    draft = output.with_name(output.name + ".partial.onnx")
    try:
        draft.write_bytes(model)
        after = _measured(draft, judging)
        if before["found_percent"] - after["found_percent"] > MAX_LOSS:
            raise ExportError(
                f"INT8 finds {after['found_percent']:.1f} % of the faces, float32 "
                f"{before['found_percent']:.1f} %; nothing was written"
            )
        height, width = grid.height // STRIDE, grid.width // STRIDE
        card = ModelCard(
            name="evface-detector",
            version="0.1.0",
            precision="int8",
            target="onnx-int8",
            representation=grid.to_config(),
            crop_scale=1.0,
            window=WindowPolicy(1.0, 1, grid.max_events, grid.lookback_us),
            inputs=(TensorSpec("cells", (-1, *example.shape[1:])),),
            outputs=(
                TensorSpec("heat", (-1, 1, height, width)),
                TensorSpec("place", (-1, 3, height, width)),
            ),
            presence_threshold=round(after["threshold"], 4),
            sigma_limit=1.0,  # it tells no σ
            built_with={
                name: importlib.metadata.version(name)
                for name in ("torch", "torchao", "onnx", "onnxscript", "onnxruntime")
            },
            training=dict(training),
            calibration={"set": "simulated scenes", "count": CALIBRATION, "seed": _SEED},
            metrics={
                "found_percent_fp32": before["found_percent"],
                "found_percent": after["found_percent"],
                "false_peaks_a_scene": FALSE_A_SCENE,
                "iou_percent": after["iou_percent"],
            },
        )
        draft.write_bytes(embed_card(model, card))
        if read_card(draft) != card:
            raise ExportError(f"{output}: the model card did not come back as it was written")
        os.replace(draft, output)
    except OSError as error:
        raise ExportError(f"{output}: cannot be written ({error.strerror or error})") from error
    finally:
        draft.unlink(missing_ok=True)
    size = output.stat().st_size
    return ExportedDetector(output, size, before["found_percent"], after["found_percent"])


def _measured(path: Path, scenes: Scenes) -> dict[str, float]:
    heat, place = [], []
    with evface_runtimes.load(path, runtime="onnxruntime", device="cpu") as runtime:
        for part in torch.split(scenes.inputs, _BATCH):
            outputs = runtime.run({"cells": part.numpy()})
            heat.append(outputs["heat"])
            place.append(outputs["place"])
    return detection_metrics(np.concatenate(heat), np.concatenate(place), scenes, FALSE_A_SCENE)
