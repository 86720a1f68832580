"""The validation split: by identity, stored as hashes.

`validation_identities.txt` holds the first 16 hex digits of the SHA-256 of each identity, one a
line. The list reveals no names, and the same faces always give the same split.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

import numpy as np

from evface_training.data.faces import FaceSet


def identity_hash(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


@cache
def validation_hashes() -> frozenset[str]:
    text = files("evface_training.data").joinpath("validation_identities.txt").read_text()
    return frozenset(text.split())


def split_faces(faces: FaceSet) -> tuple[FaceSet, FaceSet]:
    """Return (training, validation) faces; no identity is in both."""
    hashes = validation_hashes()
    held = np.array([identity_hash(str(name)) in hashes for name in faces.identities], bool)
    return faces.select(~held), faces.select(held)
