"""Metrics of landmarks, uncertainty and presence.

FR@10 and AUC@10 have two definitions with different results. Usually *faces* are counted (WFLW, Wu
et al., CVPR 2018): a face fails if its mean error exceeds 10 %. The authors of CMFA-SSMER count
*points*: each of the 98 points of each face can fail. Names here always tell which is meant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_edge.landmarks import EYE_CORNERS, nme, to_5, to_68

__all__ = [
    "Interval",
    "Roc",
    "area_under_ced",
    "below_limit",
    "bootstrap_mean",
    "ced_curve",
    "coverage",
    "failure_rate",
    "flicker",
    "nme5",
    "nme68",
    "nme98",
    "point_errors",
    "roc",
    "sigma_ratio",
]

Floats = NDArray[np.float64]

#: The limit of FR@10 and AUC@10: a tenth of the normalising distance.
LIMIT = 0.10
#: Probabilities for `coverage`.
COVERED = (0.5, 0.68, 0.9, 0.95)
_EYE_CORNERS_68 = (36, 45)
_PUPILS_5 = (0, 1)


def nme98(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> Floats:
    """NME-98: (…, 98, 2) → (…), mean distance ÷ distance of the outer eye corners."""
    return np.asarray(nme(predicted, truth), np.float64)


def nme68(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> Floats:
    """NME-68: the same for the 68 points of iBUG, converted by `to_68`."""
    return np.asarray(nme(to_68(predicted), to_68(truth), _EYE_CORNERS_68), np.float64)


def nme5(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> Floats:
    """NME-5 of pupils, nose tip and mouth corners ÷ distance of the pupils, as in E-SIE."""
    return np.asarray(nme(to_5(predicted), to_5(truth), _PUPILS_5), np.float64)


def point_errors(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> Floats:
    """(…, 98, 2) → (…, 98): distance of each point ÷ distance of the outer eye corners."""
    right, left = EYE_CORNERS
    inter_ocular = np.linalg.norm(truth[..., right, :] - truth[..., left, :], axis=-1)
    distance = np.linalg.norm(predicted - truth, axis=-1)
    return np.asarray(distance / inter_ocular[..., None], np.float64)


def failure_rate(errors: NDArray[np.floating], limit: float = LIMIT) -> float:
    """Fraction of errors above the limit, of faces or of points; inf fails."""
    return float((errors > limit).mean())


def ced_curve(errors: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """The cumulative error distribution: (N + 1,) errors from 0, and (N + 1,) fractions.

    The second is the fraction of errors up to the first. Missing faces count as inf, so that the
    curve ends below 1.
    """
    rising = np.sort(np.asarray(errors, np.float64))
    return np.append(0.0, rising), np.arange(len(rising) + 1) / len(rising)


def area_under_ced(errors: NDArray[np.floating], limit: float = LIMIT) -> float:
    """Area under the cumulative error distribution from 0 to `limit`, divided by `limit`.

    Exact for the step function: the mean of (limit - error) ÷ limit, at least 0.
    """
    return float(below_limit(errors, limit).mean())


def flicker(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """NMF of one video (T, 98, 2): how much the error jumps from one frame to the next.

    The root mean square, over frames and points, of the change of the error vector ÷ √(width ×
    height) of the true landmark box (Micaelli et al., "Recurrence without Recurrence", CVPR 2023).
    0 is steady, even if it is steadily wrong. NaN for fewer than two frames.
    """
    if len(predicted) < 2:
        return float("nan")
    change = np.linalg.norm(np.diff(predicted - truth, axis=0), axis=-1)
    size = np.sqrt(np.ptp(truth[1:], axis=1).prod(-1))
    return float(np.sqrt(((change / size[:, None]) ** 2).mean()))


def coverage(z: NDArray[np.floating], probability: float) -> float:
    """Fraction of points with a distance ÷ σ below the quantile of a Gaussian.

    A round two-dimensional Gaussian holds `probability` within σ √(-2 ln(1 - probability)).
    """
    return float((z <= np.sqrt(-2 * np.log1p(-probability))).mean())


def sigma_ratio(z: NDArray[np.floating]) -> float:
    """Root mean square of distance ÷ σ, relative to that of a Gaussian; 1 if σ is correct."""
    return float(np.sqrt((z**2).mean() / 2))


@dataclass(frozen=True, eq=False)
class Roc:
    """The receiver operating characteristic of presence.

    Attributes:
        false_positive, true_positive: (K,) rates, increasing from 0 to 1, one for each threshold.
        area: under the curve: the probability that a face has a higher score than a non-face.
    """

    false_positive: Floats
    true_positive: Floats
    area: float

    def true_positive_at(self, false_positive: float) -> float:
        """The highest true positive rate at a false positive rate of at most this."""
        return float(self.true_positive[self.false_positive <= false_positive].max())


def roc(faces: NDArray[np.floating], others: NDArray[np.floating]) -> Roc:
    """The curve of scores of faces (N,) and of non-faces (M,)."""
    scores = np.concatenate([faces, others])
    is_face = np.concatenate([np.ones(len(faces)), np.zeros(len(others))])
    order = np.argsort(-scores, kind="stable")
    # Equal scores are one step of the curve.
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true = np.cumsum(is_face[order])[last] / len(faces)
    false = np.cumsum(1 - is_face[order])[last] / len(others)
    true, false = np.append(0.0, true), np.append(0.0, false)
    area = float((np.diff(false) * (true[1:] + true[:-1]) / 2).sum())
    return Roc(false, true, area)


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval from `low` to `high`."""

    mean: float
    low: float
    high: float


def bootstrap_mean(
    values: NDArray[np.floating],
    groups: NDArray[np.integer],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """The mean of values (N,) with a percentile bootstrap interval over groups (N,).

    Instants of one recording are correlated, and drawing them one by one would make the interval
    too narrow; so whole groups, blocks of time, are drawn (Künsch, "The jackknife and the bootstrap
    for general stationary observations", Annals of Statistics 17, 1989). Failure rate and area
    under the CED are means as well. NaN without values.
    """
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    _, member = np.unique(groups, return_inverse=True)
    sums = np.bincount(member, weights=values)
    counts = np.bincount(member)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (resamples, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def below_limit(errors: NDArray[np.floating], limit: float = LIMIT) -> Floats:
    """(limit - error) ÷ limit of each error, at least 0; their mean is `area_under_ced`."""
    return np.asarray(np.clip(limit - errors, 0, None) / limit, np.float64)
