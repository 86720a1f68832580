"""Metrics of all candidates: over all clips, and in each bin of light and speed.

A clip without a detected or accepted face has failed: its error is infinite. Medians, FR@10 and
AUC@10 include failures; means are over the detected faces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.clips import LIGHTS_LUX, SPEEDS_DEG_PER_S
from evface_edge.metrics import area_under_ced, below_limit, bootstrap_mean, failure_rate

Errors = NDArray[np.float64]

#: With fewer people, the bootstrap interval is not reliable.
_MIN_PEOPLE = 5


@dataclass(frozen=True, eq=False)
class Candidate:
    """One method from a clip to landmarks.

    Attributes:
        name: "evface-s-int8, followed", or "RGB → MediaPipe".
        source: its input: "events", "RGB" or "rebuilt" (frames rebuilt from events).
        errors: metric ("nme51", "nme5") → (N,) errors as fractions, inf without a face.
        cpu_ms: (T,) CPU time from events or an RGB frame to landmarks.
    """

    name: str
    source: str
    errors: Mapping[str, Errors]
    cpu_ms: Errors


@dataclass(frozen=True)
class Bins:
    """The bin of each clip.

    Attributes:
        light, speed: (N,) index into LIGHTS_LUX and SPEEDS_DEG_PER_S.
        person: (N,) index of the person. The bootstrap draws people, since the errors of one
            person are correlated.
    """

    light: NDArray[np.int64]
    speed: NDArray[np.int64]
    person: NDArray[np.int64]

    @classmethod
    def of(cls, lux: Errors, speed_deg_per_s: Errors, person: NDArray[np.int64]) -> Bins:
        """Sort clips into bins; values beyond the outer edges belong to the outer bins."""
        inner = [[low for low, _ in bins[1:]] for bins in (LIGHTS_LUX, SPEEDS_DEG_PER_S)]
        light, speed = (
            np.searchsorted(edges, values, side="right")
            for edges, values in zip(inner, (lux, speed_deg_per_s), strict=True)
        )
        return cls(light, speed, person)

    def __iter__(self) -> Iterator[tuple[dict[str, Any], NDArray[np.bool_]]]:
        """Yield the indices and number of clips of each bin, and its mask."""
        for light in range(len(LIGHTS_LUX)):
            for speed in range(len(SPEEDS_DEG_PER_S)):
                mask = (self.light == light) & (self.speed == speed)
                yield {"light": light, "speed": speed, "clips": int(mask.sum())}, mask


def overall(candidates: Sequence[Candidate], person: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return one row for each candidate, over all clips."""
    return [
        {
            "name": one.name,
            "source": one.source,
            "found_percent": 100 * float(np.isfinite(one.errors["nme5"]).mean()),
            "cpu_ms": float(np.median(one.cpu_ms)),
            **{name: measures(errors, person) for name, errors in one.errors.items()},
        }
        for one in candidates
    ]


def measures(errors: Errors, person: NDArray[np.int64]) -> dict[str, Any]:
    """Return mean (with interval), median, FR@10 and AUC@10 (with interval) of some clips."""
    valid = np.isfinite(errors)
    mean = bootstrap_mean(100 * errors[valid], person[valid])
    area = bootstrap_mean(below_limit(errors), person)
    median = float(np.median(100 * errors)) if len(errors) else np.inf
    return {
        "clips": len(errors),
        "mean_percent": _finite(mean.mean, mean.low, mean.high),
        "median_percent": median if np.isfinite(median) else None,
        "fr10_percent": 100 * failure_rate(errors) if len(errors) else None,
        "auc10": _finite(area.mean, area.low, area.high),
    }


def _finite(*values: float) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def by_bin(candidates: Sequence[Candidate], bins: Bins, error: str) -> list[dict[str, Any]]:
    """Return one entry for each bin: name of each candidate → its `measures`."""
    return [
        entry
        | {
            "of": {
                one.name: measures(one.errors[error][mask], bins.person[mask])
                for one in candidates
                if error in one.errors
            }
        }
        for entry, mask in bins
    ]


def compare_by_bin(
    ours: Candidate, peers: Sequence[Candidate], bins: Bins, error: str
) -> list[dict[str, Any]]:
    """Compare ours with the best peer of each bin, by AUC@10 (a failure counts as 0).

    The best peer is chosen for each bin using the ground truth, which favours the peers. "better"
    is "ours" or "peer" if the confidence interval of the difference excludes 0, else "even".
    """
    peers = [one for one in peers if error in one.errors]
    entries = []
    for entry, mask in bins:
        if mask.any() and peers:
            person = bins.person[mask]
            best = max(peers, key=lambda one: area_under_ced(one.errors[error][mask]))
            mine, theirs = (one.errors[error][mask] for one in (ours, best))
            gain = bootstrap_mean(below_limit(mine) - below_limit(theirs), person)
            better = "ours" if gain.low > 0 else "peer" if gain.high < 0 else "even"
            entry |= {
                "peer": best.name,
                "ours": measures(mine, person),
                "theirs": measures(theirs, person),
                "auc10_difference": [gain.mean, gain.low, gain.high],
                "better": better if len(np.unique(person)) >= _MIN_PEOPLE else "even",
            }
        entries.append(entry)
    return entries


def bin_name(entry: Mapping[str, Any]) -> str:
    """Return a name such as "0.1–1 lux, 300–1000 °/s"."""
    low, high = LIGHTS_LUX[entry["light"]]
    slow, fast = SPEEDS_DEG_PER_S[entry["speed"]]
    return f"{low:g}–{high:g} lux, {slow:g}–{fast:g} °/s"
