"""The clips that an export is calibrated with and evaluated on."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError
from evface_edge.landmarks import NUM_LANDMARKS

MIN_CLIPS = 64
#: Of each kind, calibration and evaluation.
MIN_CLIPS_EACH = 16
#: Of the coordinates of faces; a chin may lie outside the crop, most points do not.
MAX_OUTSIDE = 0.05
MAX_CALIBRATION_CLIPS = 512
_MASKS = ("presence", "for_evaluation")
_SCALE = {np.dtype(np.uint8): 1 / 255, np.dtype(np.float16): 1.0, np.dtype(np.float32): 1.0}


@dataclass(frozen=True)
class CalibrationSet:
    """Inputs of the network with the true landmarks.

    Attributes:
        name: of the file.
        inputs: (M, C, H, W), as stored: uint8 (255 stands for 1), float16 or float32.
        landmarks: (M, 98, 2) fractions of the crop.
        sha256: of the file, or of the arrays where there is no file.
        presence: (M,) bool, whether there is a face; by default in every clip.
        for_evaluation: (M,) bool, the clips for evaluation; the others calibrate. By default a
            random half.
    """

    name: str
    inputs: NDArray[np.generic]
    landmarks: NDArray[np.float32]
    sha256: str
    presence: NDArray[np.bool_] | None = None
    for_evaluation: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    @classmethod
    def load(cls, path: str | Path) -> CalibrationSet:
        """Read an `.npz` with `inputs`, `landmarks`, optionally `presence` and `for_evaluation`.

        Raises:
            ConfigError: no such file, another kind of file, arrays that are missing, unknown, of
                another shape or dtype, not finite, landmarks in pixels, or fewer than 64 clips.
        """
        path = Path(path)
        expected = "an .npz file with the arrays `inputs` and `landmarks`"
        try:
            with path.open("rb") as file:
                sha256 = hashlib.sha256(file.read()).hexdigest()
                file.seek(0)
                with np.load(file, allow_pickle=False) as arrays:
                    stored = {key: arrays[key] for key in arrays.files}
            landmarks = stored.pop("landmarks").astype(np.float32)
            inputs = stored.pop("inputs")
        except FileNotFoundError:
            missing = f"{expected}; there is no such file"
            raise ConfigError("calibration", str(path), missing) from None
        except KeyError as error:
            missing = f"{expected} ({error.args[0]})"
            raise ConfigError("calibration", str(path), missing) from None
        except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
            raise ConfigError("calibration", str(path), expected) from None
        if unknown := set(stored) - set(_MASKS):
            raise ConfigError(
                "calibration",
                ", ".join(sorted(unknown)),
                f"only the arrays inputs, landmarks, {', '.join(_MASKS)}",
                path=path,
            )
        return cls(path.name, inputs, landmarks, sha256, **stored)

    def __post_init__(self) -> None:
        count = len(self)
        if self.inputs.ndim != 4 or self.inputs.dtype not in _SCALE:
            raise self._error(
                "inputs",
                f"{self.inputs.shape} {self.inputs.dtype}",
                "shape (clips, channels, height, width) in uint8, float16 or float32",
            )
        if count < MIN_CLIPS:
            raise self._error("clips", count, f"at least {MIN_CLIPS}; half of them calibrate")
        if self.landmarks.shape != (count, NUM_LANDMARKS, 2):
            raise self._error("landmarks", self.landmarks.shape, f"{(count, NUM_LANDMARKS, 2)}")
        for field in _MASKS:
            mask = getattr(self, field)
            if mask is not None and (mask.shape, mask.dtype) != ((count,), np.dtype(bool)):
                raise self._error(field, f"{mask.shape} {mask.dtype}", f"shape {(count,)} bool")
        if self.for_evaluation is not None:
            fewest = min(int(self.for_evaluation.sum()), int((~self.for_evaluation).sum()))
            if fewest < MIN_CLIPS_EACH:
                raise self._error(
                    "for_evaluation", fewest, f"at least {MIN_CLIPS_EACH} clips of each kind"
                )
        if not self.faces.any():
            raise self._error("presence", "no face", "faces in most clips")
        for field in ("inputs", "landmarks"):
            if not np.isfinite(getattr(self, field)).all():
                raise self._error(field, "NaN or infinity", "finite values")
        points = self.landmarks[self.faces]
        outside = float(((points < 0) | (points > 1)).mean())
        if outside > MAX_OUTSIDE:
            raise self._error(
                "landmarks",
                f"{points.min():g} to {points.max():g}",
                "fractions of the crop, 0 to 1, not pixels",
            )

    def _error(self, field: str, value: object, expected: str) -> ConfigError:
        return ConfigError(f"calibration {self.name}: {field}", value, expected)

    @property
    def faces(self) -> NDArray[np.bool_]:
        """(M,) bool, whether there is a face."""
        return np.ones(len(self), bool) if self.presence is None else self.presence

    def split(self, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Indices of the clips that calibrate (at most 512), and of those for evaluation."""
        order = np.random.default_rng(seed).permutation(len(self))
        if self.for_evaluation is not None:
            calibrating = order[~self.for_evaluation[order]]
            return calibrating[:MAX_CALIBRATION_CLIPS], np.flatnonzero(self.for_evaluation)
        count = min(len(self) // 2, MAX_CALIBRATION_CLIPS)
        return order[:count], order[count:]

    def batches(self, indices: NDArray[np.intp], size: int = 16) -> Iterator[NDArray[np.float32]]:
        """The inputs at `indices`, as float32 in [0, 1], up to `size` at a time."""
        scale = np.float32(_SCALE[self.inputs.dtype])
        for start in range(0, len(indices), size):
            yield self.inputs[indices[start : start + size]].astype(np.float32) * scale
