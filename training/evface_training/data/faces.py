"""Annotated still faces, packed into arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError

#: Side of the stored crops. The crop is square and twice as wide as the longer side of the
#: landmark box, so the face takes 96 pixels: about as many as the network gets.
CROP_SIDE_PX = 192


@dataclass(frozen=True)
class FaceSet:
    """N faces.

    Attributes:
        images: (N, 192, 192) uint8 grey, or (N, 192, 192, 3) RGB; gamma-coded.
        points: (N, 98, 2) float32, x then y, pixels of the crop, pixel centres at integers.
        weights: (N, 98) float32 in [0, 1], trust in each point.
        names: (N,) str, unique within the set.
        identities: (N,) str: faces of one person (or one photograph) share it.
        human: (N,) bool, labelled by a person rather than by a tool.
    """

    images: NDArray[np.uint8]
    points: NDArray[np.float32]
    weights: NDArray[np.float32]
    names: NDArray[np.str_]
    identities: NDArray[np.str_]
    human: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.images)

    def select(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> FaceSet:
        return FaceSet(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def color(self) -> bool:
        return self.images.ndim == 4

    @classmethod
    def concatenate(cls, sets: Sequence[FaceSet]) -> FaceSet:
        """Raises: ConfigError: no sets, or a mix of RGB and grey ones."""
        if len({s.color for s in sets}) != 1:
            raise ConfigError("faces", [s.images.shape for s in sets], "sets all grey or all RGB")
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(s, name) for s in sets]) for name in names))

    def save(self, path: Path) -> None:
        """Write an .npz file; an interrupted write leaves no file of that name."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.npz")
        np.savez(partial, **vars(self))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> FaceSet:
        """Read what `save` wrote.

        Raises:
            ConfigError: the file cannot be read or holds other arrays.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(**{key: stored[key] for key in stored.files})
        except (OSError, ValueError, TypeError, BadZipFile) as error:
            raise ConfigError(
                "packed faces", str(path), f"a file of packed faces ({error})"
            ) from None


def identity_of(name: str) -> str:
    """Return the person (or, where unknown, the photograph) that a file name stands for.

    `test_Kate_Winslet_51.jpg` → `ytf:Kate_Winslet`; `afw_1051618982_1.jpg` (face 1 of a
    photograph) → `afw:1051618982`; `helen_123_1.jpg` (photograph 1 of account 123) → `helen:123`;
    `lfpw_image_0871.jpg` → itself.
    """
    stem = Path(name).stem
    source, _, rest = stem.partition("_")
    if source in ("training", "test"):
        return "ytf:" + rest.rpartition("_")[0]
    if source in ("afw", "helen"):
        return f"{source}:{rest.partition('_')[0]}"
    return f"{source}:{rest}"
