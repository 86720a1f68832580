"""Default clips of an export: avatars, simulated as events."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.card import ModelCard
from evface_edge.cli.progress import count_progress
from evface_edge.errors import ConfigError, ExportError
from evface_edge.results.output_file import whole_file
from evface_export.calibration import CalibrationSet
from evface_runtimes.cache_folder import cache_folder

NAME = "avatars of this package"
COUNT = 2560
_SEED = 7
#: Heads for calibration; the others are for evaluation.
_CALIBRATING = 32
_ARRAYS = ("for_evaluation", "inputs", "landmarks", "presence")


def synthetic_clips(card: ModelCard, *, count: int = COUNT) -> CalibrationSet:
    """Inputs for the network of `card`: 512 for calibration, the others for evaluation.

    The loss on avatars shows how close an artefact is to its checkpoint, not how well either works
    on real faces. They are made once, and kept in the cache folder.

    Raises:
        ConfigError: a network whose input is not a voxel grid, or not square.
        ExportError: the cache folder cannot be written.
    """
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
    bins = int(channels) // 2
    try:
        path = cache_folder("clips") / f"avatars-{_key(bins, width, count)}.npz"
        clips = _load(path)
        if clips is None:
            clips = _simulate(bins, width, count)
            arrays = {name: getattr(clips, name) for name in _ARRAYS}
            with whole_file(path) as part:
                np.savez_compressed(part, **arrays)
    except OSError as error:
        raise ExportError(
            f"cannot be written ({error.strerror or error})",
            path=error.filename,
            fix="set XDG_CACHE_HOME to a folder that can be written, or use --calibration",
        ) from error
    return clips


def _key(*numbers: int) -> str:
    """Changes with whatever changes the clips: the numbers, the avatars, and the code."""
    import torch

    import evface_training

    digest = hashlib.sha256(f"{numbers} {torch.__version__} {np.__version__}".encode())
    root = Path(evface_training.__file__).parent
    for pattern in ("*.py", "simulation/*", "data/avatars.*"):
        for file in sorted(root.glob(pattern)):
            if file.is_file():
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _load(path: Path) -> CalibrationSet | None:
    """The clips in the cache, unless there are none or the file is damaged."""
    try:
        clips = CalibrationSet.load(path)
    except ConfigError:
        return None
    arrays = {name: getattr(clips, name) for name in _ARRAYS}
    return replace(clips, name=NAME, sha256=_digest(arrays))


def _simulate(bins: int, side: int, count: int) -> CalibrationSet:
    from evface_training.calibration_set import draw_clip_set
    from evface_training.data.avatars import load_avatars
    from evface_training.simulation.clip_prior import ClipPrior

    avatars = load_avatars()
    first = np.arange(len(avatars)) < _CALIBRATING
    with count_progress("simulating avatars", count) as advance:
        arrays = draw_clip_set(
            avatars.select(first),
            avatars.select(~first),
            ClipPrior(bins=bins),
            side,
            count,
            _SEED,
            advance=advance,
        )
    return CalibrationSet(NAME, sha256=_digest(arrays), **arrays)  # type: ignore[arg-type]


def _digest(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    digest = hashlib.sha256()
    for name in _ARRAYS:
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
