"""Landmark error of an artefact on the benchmark sets, through the `Predictor` that users have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.landmarks import nme, to_68
from evface_edge.predictor import Predictor
from evface_training.benchmark_sets import Condition, LabelledRecording, recordings
from evface_training.data.faces import FaceSet

FAILURE = 0.10
_EYE_CORNERS_68 = (36, 45)


@dataclass(frozen=True, eq=False)
class SetResult:
    """Errors of one benchmark set, face by face.

    Attributes:
        nme98, nme68: (N,) as fractions of the inter-ocular distance.
        presence: (N,) 0 to 1.
        z: (N, 98) error ÷ σ: root mean square √2 where σ is right.
        names: (N,) of the faces.
    """

    condition: str
    nme98: NDArray[np.float64]
    nme68: NDArray[np.float64]
    presence: NDArray[np.float64]
    z: NDArray[np.float64]
    names: NDArray[np.str_]

    def summary(self) -> dict[str, float]:
        return {
            "faces": float(len(self.nme98)),
            "nme98_percent": 100 * float(self.nme98.mean()),
            "nme68_percent": 100 * float(self.nme68.mean()),
            "nme68_median_percent": 100 * float(np.median(self.nme68)),
            "failure_rate_percent": 100 * float((self.nme68 > FAILURE).mean()),
            "auc": area_under_ced(self.nme68, FAILURE),
            "presence_mean": float(self.presence.mean()),
            "sigma_ratio": float(np.sqrt((self.z**2).mean() / 2)),
        }


def area_under_ced(errors: NDArray[np.floating], limit: float) -> float:
    """Area under the cumulative error distribution of faces from 0 to `limit`, divided by `limit`.

    Exact for the step function: the mean over faces of how far each error stays below the limit.
    """
    return float(np.clip(limit - errors, 0, None).mean() / limit)


def evaluate_set(
    predictor: Predictor,
    faces: FaceSet,
    condition: Condition,
    *,
    seed: int = 0,
    on_face: Callable[[LabelledRecording, NDArray[np.float32], float], None] | None = None,
) -> SetResult:
    """Run every recording of a set and compare the last landmarks with the truth.

    Args:
        on_face: called with each recording, its landmarks (98, 2) and its NME-68.
    """
    rows98, rows68, presence, z = [], [], [], []
    for recording in recordings(faces, condition, seed):
        found = predictor.run(recording.events, size=recording.size, box=recording.box)
        if not len(found):  # not one event: nothing to look at
            rows98.append(np.inf)
            rows68.append(np.inf)
            presence.append(0.0)
            z.append(np.full(98, np.inf))
            continue
        face = found[-1]
        rows98.append(float(nme(face.landmarks, recording.points)))
        rows68.append(float(nme(to_68(face.landmarks), to_68(recording.points), _EYE_CORNERS_68)))
        presence.append(face.presence)
        z.append(np.linalg.norm(face.landmarks - recording.points, axis=1) / face.sigma)
        if on_face is not None:
            on_face(recording, face.landmarks, rows68[-1])
    return SetResult(
        condition.name,
        np.array(rows98),
        np.array(rows68),
        np.array(presence),
        np.array(z),
        faces.names,
    )
