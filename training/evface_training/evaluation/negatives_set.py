"""Simulated recordings without a face: textures that move as faces do, in a box as of a face."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evface_edge.predictor import Predictor
from evface_training.data.faces import CROP_SIDE_PX, FaceSet
from evface_training.evaluation.benchmark_sets import CONDITIONS, recordings
from evface_training.evaluation.landmarks import SampleResult, evaluate_recording
from evface_training.simulation.textures import texture_bank

_SEED = 77  # no textures that training saw


def made_negatives(predictor: Predictor, faces: FaceSet, seed: int = 0) -> Iterator[SampleResult]:
    """One sample for each face: its box and its motion, with a texture in place of its image."""
    textures = texture_bank(len(faces), CROP_SIDE_PX, _SEED + seed)
    images = (textures * 255).round().byte().numpy()
    negatives = FaceSet(
        images,
        faces.points,
        faces.weights,
        np.array([f"texture:{index}" for index in range(len(faces))]),
        faces.identities,
        np.zeros(len(faces), bool),
    )
    # Slow, fast, dark and still ones in turn.
    names = ("normal", "fast", "dark", "still")
    for k, name in enumerate(names):
        part = negatives.select(np.arange(k, len(negatives), len(names)))
        for recording in recordings(part, CONDITIONS[name], seed + k):
            yield evaluate_recording(predictor, recording)
