"""Who is kept for validation: decided once, by identity, and kept as hashes of names.

`validation_identities.txt` holds the first 16 hex digits of SHA-256 of each identity, one a line,
sorted: the list says nothing about anybody, and anyone with the same faces has the same split.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

import numpy as np

from evface_training.data.faces import FaceSet

VALIDATION_FILE = "validation_identities.txt"


def identity_hash(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


@cache
def validation_hashes() -> frozenset[str]:
    text = files("evface_training.data").joinpath(VALIDATION_FILE).read_text()
    return frozenset(line for line in text.split() if line)


def is_validation(identity: str) -> bool:
    return identity_hash(identity) in validation_hashes()


def split_faces(faces: FaceSet) -> tuple[FaceSet, FaceSet]:
    """→ (training, validation); no identity is in both."""
    held = np.array([is_validation(str(identity)) for identity in faces.identities])
    return faces.select(~held), faces.select(held)
