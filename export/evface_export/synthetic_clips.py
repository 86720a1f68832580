"""Clips for an export that was given none: avatars, turned into events on the fly."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from evface_edge.card import ModelCard
from evface_edge.errors import ConfigError
from evface_export.calibration import CalibrationSet

NAME = "avatars of this package"
COUNT = 2560
_SEED = 7
#: Heads that calibrate; the others judge.
_CALIBRATING = 32


def synthetic_clips(
    card: ModelCard, *, count: int = COUNT, advance: Callable[[int], None] = lambda clips: None
) -> CalibrationSet:
    """Inputs for the network of `card`: 512 to calibrate it, the others to judge the result.

    Rendered faces are not photographs: what an artefact loses on them says how well it computes
    what its checkpoint computes, not how well either finds a real face.

    Args:
        advance: gets the number of clips after every batch.

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
            f"an .npz of clips: avatars can only be had as square voxel grids, and "
            f"{card.name} takes {representation}",
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
        advance=advance,
    )
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return CalibrationSet(NAME, sha256=digest.hexdigest(), **arrays)  # type: ignore[arg-type]
