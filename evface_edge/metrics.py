"""Measures of landmarks, uncertainty and presence: arrays in, numbers out.

FR@10 and AUC@10 come in two kinds that give different numbers. The field counts *faces* (WFLW, Wu
et al., CVPR 2018): a face fails when its mean error is beyond 10 %. The authors of CMFA-SSMER count
*points*: each of the 98 of each face fails on its own. They never share a name here.
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

#: Where FR@10 begins and AUC@10 ends: a tenth of the normalising distance.
LIMIT = 0.10
#: Probabilities at which the coverage of σ is measured.
COVERED = (0.5, 0.68, 0.9, 0.95)
_EYE_CORNERS_68 = (36, 45)
_PUPILS_5 = (0, 1)


def nme98(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> Floats:
    """(…, 98, 2) → (…): mean distance ÷ distance between the outer eye corners."""
    return np.asarray(nme(predicted, truth), np.float64)


def nme68(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> Floats:
    """The same of the 68 points of iBUG, taken from the 98; lids interpolated."""
    return np.asarray(nme(to_68(predicted), to_68(truth), _EYE_CORNERS_68), np.float64)


def nme5(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> Floats:
    """Of pupils, nose tip and mouth corners; ÷ distance between the pupils, as E-SIE does it."""
    return np.asarray(nme(to_5(predicted), to_5(truth), _PUPILS_5), np.float64)


def point_errors(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> Floats:
    """(…, 98, 2) → (…, 98): distance of each point ÷ distance between the outer eye corners."""
    right, left = EYE_CORNERS
    inter_ocular = np.linalg.norm(truth[..., right, :] - truth[..., left, :], axis=-1)
    distance = np.linalg.norm(predicted - truth, axis=-1)
    return np.asarray(distance / inter_ocular[..., None], np.float64)


def failure_rate(errors: NDArray[np.floating], limit: float = LIMIT) -> float:
    """Share of errors beyond the limit: of faces, or of points, as they come in. inf fails."""
    return float((errors > limit).mean())


def ced_curve(errors: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """The cumulative error distribution as steps: (N + 1,) errors, from 0, and (N + 1,) fractions.

    From each error on, until the next, its fraction of all errors is no larger. No face (inf) is
    the part that the curve never reaches.
    """
    rising = np.sort(np.asarray(errors, np.float64))
    return np.append(0.0, rising), np.arange(len(rising) + 1) / len(rising)


def area_under_ced(errors: NDArray[np.floating], limit: float = LIMIT) -> float:
    """Area under the cumulative error distribution from 0 to `limit`, divided by `limit`.

    Exact for the step function: the mean over errors of how far each stays below the limit.
    """
    return float(np.clip(limit - errors, 0, None).mean() / limit)


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
    """Share of points whose error ÷ σ (distance, one σ along x and y) lies where a Gaussian has it.

    A round two-dimensional Gaussian holds `probability` within σ √(-2 ln(1 - probability)).
    """
    return float((z <= np.sqrt(-2 * np.log1p(-probability))).mean())


def sigma_ratio(z: NDArray[np.floating]) -> float:
    """Root mean square of error ÷ σ, relative to that of a Gaussian: 1 where σ is right."""
    return float(np.sqrt((z**2).mean() / 2))


@dataclass(frozen=True, eq=False)
class Roc:
    """How presence tells faces from the rest.

    Attributes:
        false_positive, true_positive: (K,) rates, rising from 0 to 1, one for each threshold.
        area: under the curve: the chance that a face scores higher than what is none.
    """

    false_positive: Floats
    true_positive: Floats
    area: float

    def true_positive_at(self, false_positive: float) -> float:
        """The highest rate of faces seen at no more than this rate of false ones."""
        return float(self.true_positive[self.false_positive <= false_positive].max())


def roc(faces: NDArray[np.floating], others: NDArray[np.floating]) -> Roc:
    """The curve of scores of faces (N,) against scores of what is none (M,)."""
    scores = np.concatenate([faces, others])
    is_face = np.concatenate([np.ones(len(faces)), np.zeros(len(others))])
    order = np.argsort(-scores, kind="stable")
    # Equal scores cannot be told apart: one step for all of them.
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true = np.cumsum(is_face[order])[last] / len(faces)
    false = np.cumsum(1 - is_face[order])[last] / len(others)
    true, false = np.append(0.0, true), np.append(0.0, false)
    area = float((np.diff(false) * (true[1:] + true[:-1]) / 2).sum())
    return Roc(false, true, area)


@dataclass(frozen=True)
class Interval:
    """A mean and where it may lie.

    Attributes:
        low, high: bounds of the confidence interval.
    """

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
    """The mean of values (N,), with its percentile bootstrap interval over whole groups (N,).

    Instants of one recording resemble each other, so that drawing them one by one would make the
    interval far too narrow: blocks of time are drawn instead (Künsch, "The jackknife and the
    bootstrap for general stationary observations", Annals of Statistics 17, 1989). Failure rate and
    area under the CED are means as well. NaN for no values.
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
    """How far each error stays below the limit ÷ limit, 0 to 1: its part of `area_under_ced`."""
    return np.asarray(np.clip(limit - errors, 0, None) / limit, np.float64)
