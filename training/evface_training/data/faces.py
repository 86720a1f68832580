"""Annotated still faces, packed into one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import ConfigError

#: Side of the stored crops. The crop is square and 2.0 × the longer side of the landmark box,
#: so the face itself is 96 pixels: about what the network sees.
CROP_SIDE_PX = 192


@dataclass(frozen=True)
class FaceSet:
    """N faces.

    Attributes:
        images: (N, 192, 192) uint8 grey, or (N, 192, 192, 3) RGB; gamma-coded as in the image.
        points: (N, 98, 2) float32, x then y, pixels of the crop, pixel centres at integers.
        weights: (N, 98) float32 in [0, 1], trust in each point.
        names: (N,) str, unique within the set.
        identities: (N,) str: faces of one person (or one photograph) fraction it.
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
        return FaceSet(
            self.images[index],
            self.points[index],
            self.weights[index],
            self.names[index],
            self.identities[index],
            self.human[index],
        )

    @property
    def color(self) -> bool:
        return self.images.ndim == 4

    @classmethod
    def concatenate(cls, sets: Sequence[FaceSet]) -> FaceSet:
        """Raises: ConfigError: no sets, or some in colour and some grey."""
        if len({s.color for s in sets}) != 1:
            raise ConfigError("faces", [s.images.shape for s in sets], "sets all grey or all RGB")
        return cls(
            np.concatenate([s.images for s in sets]),
            np.concatenate([s.points for s in sets]),
            np.concatenate([s.weights for s in sets]),
            np.concatenate([s.names for s in sets]),
            np.concatenate([s.identities for s in sets]),
            np.concatenate([s.human for s in sets]),
        )


def identity_of(name: str) -> str:
    """The person (or, where nobody knows, the photograph) that a file name stands for.

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
