"""The clips of a calibration file: some calibrate INT8 models, the others evaluate them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_training.data.faces import FaceSet
from evface_training.simulation.clip_prior import ClipPrior
from evface_training.simulation.clips import ClipSimulator

#: More clips do not change the calibrated ranges.
MAX_CALIBRATION = 512
_BATCH = 64


def draw_clip_set(
    calibration: FaceSet,
    evaluation: FaceSet,
    prior: ClipPrior,
    side: int,
    count: int,
    seed: int,
    *,
    advance: Callable[[int], None] = lambda clips: None,
) -> dict[str, NDArray[np.generic]]:
    """Simulate the arrays of a calibration file.

    Human-labelled faces are used if there are any. The file holds every kind of clip of the prior,
    also those without a face, because calibration needs the range of the presence logit; but no
    occlusions, because their landmarks cannot be found.

    Args:
        calibration, evaluation: faces without a common identity.
        count: number of clips: half of them, at most 512, are of `calibration`.
        advance: called with the number of clips of every batch.

    Returns:
        inputs: (M, C, side, side) uint8, 255 stands for 1.
        landmarks: (M, 98, 2) float32 fractions of the crop; undefined without a face.
        presence: (M,) bool, whether there is a face.
        for_evaluation: (M,) bool, the clips of `evaluation`.

    Raises:
        ConfigError: no faces, or fewer than 2 clips.
    """
    if count < 2:
        raise ConfigError("count", count, "2 or more")
    first = min(count // 2, MAX_CALIBRATION)
    arrays: dict[str, NDArray[np.generic]] = {
        "inputs": np.empty((count, 2 * prior.bins, side, side), np.uint8),
        "landmarks": np.empty((count, *evaluation.points.shape[1:]), np.float32),
        "presence": np.empty(count, bool),
        "for_evaluation": np.arange(count) >= first,
    }
    done = 0
    for faces, amount, own_seed in (
        (calibration, first, seed),
        (evaluation, count - first, seed + 1),
    ):
        for inputs, landmarks, presence in _batches(faces, prior, side, amount, own_seed):
            rows = slice(done, done + len(inputs))
            arrays["inputs"][rows] = inputs
            arrays["landmarks"][rows] = landmarks
            arrays["presence"][rows] = presence
            done = rows.stop
            advance(len(inputs))
    return arrays


def _batches(
    faces: FaceSet, prior: ClipPrior, side: int, count: int, seed: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]]:
    people = faces.select(faces.human) if faces.human.any() else faces
    if not len(people):
        raise ConfigError("faces", 0, "at least one face")
    order = np.random.default_rng(seed).permutation(len(people))
    simulator = ClipSimulator(replace(prior, occlusion_fraction=0.0), side, seed)
    for start in range(0, count, _BATCH):
        chosen = order[np.arange(start, min(start + _BATCH, count)) % len(people)]
        clips = simulator(
            torch.from_numpy(people.images[chosen]), torch.from_numpy(people.points[chosen])
        )
        inputs = (clips.inputs * 255).round_().to(torch.uint8).numpy()
        yield inputs, clips.points.numpy(), clips.presence.numpy() > 0
