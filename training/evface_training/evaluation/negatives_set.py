"""Recordings without a face, to see how presence tells them from faces.

Two kinds, and two different questions. Made ones, from the seed: textures and shapes that move as
faces do, in a box where a face would be: does presence say no? And recordings that the user has:
how often does the face detector see a face in them?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evface_edge.predictor import Predictor
from evface_training.data.faces import CROP_SIDE_PX, FaceSet
from evface_training.evaluation.benchmark_sets import CONDITIONS, recordings
from evface_training.evaluation.samples import Answer, judge
from evface_training.simulation.textures import texture_bank

_SEED = 77  # no textures that training saw


def made_negatives(predictor: Predictor, faces: FaceSet, seed: int = 0) -> Iterator[Answer]:
    """One answer for each face: its box and its motion, but a texture for an image."""
    textures = texture_bank(len(faces), CROP_SIDE_PX, _SEED + seed)
    images = (textures * 255).round().byte().numpy()
    others = FaceSet(
        images,
        faces.points,
        faces.weights,
        np.array([f"texture:{index}" for index in range(len(faces))]),
        faces.identities,
        np.zeros(len(faces), bool),
    )
    # By turns, so that slow, fast, dark and still ones are among them.
    names = ("normal", "fast", "dark", "still")
    for k, name in enumerate(names):
        part = others.select(np.arange(k, len(others), len(names)))
        for recording in recordings(part, CONDITIONS[name], seed + k):
            yield judge(predictor, recording)


@dataclass(frozen=True)
class Faceless:
    """What was seen in recordings without a face.

    Attributes:
        instants: output instants; false_faces: at how many of them a face was reported.
    """

    recordings: int
    instants: int
    false_faces: int


def search_faceless(predictor: Predictor, paths: Iterable[Path]) -> Faceless:
    """Search the user's recordings without a face.

    Raises:
        EventFormatError: one of them cannot be read.
    """
    count = instants = false_faces = 0
    for path in paths:
        found = predictor.run(path)
        count += 1
        instants += found.windows
        false_faces += len(found)
    return Faceless(count, instants, false_faces)
