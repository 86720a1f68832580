"""Default clips of an export: avatars, simulated as events."""

from __future__ import annotations

import hashlib

import numpy as np

from evface_edge.card import ModelCard
from evface_edge.errors import ConfigError
from evface_export.calibration import CalibrationSet

NAME = "avatars of this package"
COUNT = 2560
_SEED = 7
#: Heads for calibration; the others are for evaluation.
_CALIBRATING = 32


def synthetic_clips(card: ModelCard, *, count: int = COUNT) -> CalibrationSet:
    """Inputs for the network of `card`: 512 for calibration, the others for evaluation.

    The loss on avatars shows how close an artefact is to its checkpoint, not how well either works
    on real faces.

    Raises:
        ConfigError: a network whose input is not a voxel grid, or not square.
    """
    from evface_training.calibration_set import draw_clip_set
    from evface_training.data.avatars import load_avatars
    from evface_training.simulation.clip_prior import ClipPrior

    representation = card.representation
    channels, height, width = card.inputs[0].shape[1:]
    bins = representation.get("bins")
    if representation.get("name") != "voxel_grid" or 2 * (bins or 0) != channels or height != width:
        raise ConfigError(
            "--calibration",
            None,
            f"an .npz of clips, since avatars are made as square voxel grids only, and the input "
            f"of {card.name} is {representation}",
        )
    avatars = load_avatars()
    first = np.arange(len(avatars)) < _CALIBRATING
    arrays = draw_clip_set(
        avatars.select(first),
        avatars.select(~first),
        ClipPrior(bins=int(channels) // 2),
        width,
        count,
        _SEED,
    )
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return CalibrationSet(NAME, sha256=digest.hexdigest(), **arrays)  # type: ignore[arg-type]
