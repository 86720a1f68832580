"""Landmarks of all → numbers: of each, over all clips and in each bin of light and of speed.

A clip in which nobody's face was found, or not accepted as one, has failed: its error is infinite.
Medians and failures count it; only the mean is of the faces that were found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.clips import LIGHTS_LUX, SPEEDS_DEG_PER_S
from evface_edge.metrics import LIMIT, area_under_ced, below_limit, bootstrap_mean, failure_rate

Errors = NDArray[np.float64]

#: The bootstrap cannot speak of fewer.
_LEAST_PEOPLE = 5


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way from a clip to landmarks.

    Attributes:
        name: "evface-s-int8, followed", or "RGB → MediaPipe".
        source: "events", "RGB" or "rebuilt": what it looks at.
        errors: name of an error ("nme51", "nme5") → (N,) fractions, inf for no face.
        cpu_ms: (T,) of an instant, of all clips or of some: everything from events or a finished
            RGB frame to landmarks.
    """

    name: str
    source: str
    errors: Mapping[str, Errors]
    cpu_ms: Errors


@dataclass(frozen=True)
class Bins:
    """Where each clip belongs.

    Attributes:
        light, speed: (N,) index into LIGHTS_LUX and SPEEDS_DEG_PER_S.
        person: (N,) who is shown: errors of one face are much alike, so people are drawn by the
            bootstrap.
    """

    light: NDArray[np.int64]
    speed: NDArray[np.int64]
    person: NDArray[np.int64]

    @classmethod
    def of(cls, lux: Errors, speed_deg_per_s: Errors, person: NDArray[np.int64]) -> Bins:
        """Values beyond the outer edges count in the outer bins."""
        inner = [[low for low, _ in bins[1:]] for bins in (LIGHTS_LUX, SPEEDS_DEG_PER_S)]
        light, speed = (
            np.searchsorted(edges, values, side="right")
            for edges, values in zip(inner, (lux, speed_deg_per_s), strict=True)
        )
        return cls(light, speed, person)

    def cell(self, light: int, speed: int) -> NDArray[np.bool_]:
        return (self.light == light) & (self.speed == speed)


def rows(candidates: Sequence[Candidate], person: NDArray[np.int64]) -> list[dict[str, Any]]:
    """One row for each, over all clips."""
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
    """Mean of the found with its interval, median of all, FR@10, AUC@10 with its interval."""
    seen = np.isfinite(errors)
    mean = bootstrap_mean(100 * errors[seen], person[seen])
    area = bootstrap_mean(below_limit(errors), person)
    middle = float(np.median(100 * errors)) if len(errors) else np.inf
    return {
        "clips": len(errors),
        "mean_percent": _known(mean.mean, mean.low, mean.high),
        "median_percent": middle if np.isfinite(middle) else None,
        "fr10_percent": 100 * failure_rate(errors) if len(errors) else None,
        "auc10": _known(area.mean, area.low, area.high),
    }


def _known(*values: float) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def cells(candidates: Sequence[Candidate], bins: Bins, error: str) -> list[dict[str, Any]]:
    """One entry for each bin of light and of speed: `measures` of each candidate by its name."""
    known = [one for one in candidates if error in one.errors]
    found = []
    for light in range(len(LIGHTS_LUX)):
        for speed in range(len(SPEEDS_DEG_PER_S)):
            chosen = bins.cell(light, speed)
            found.append(
                {
                    "light": light,
                    "speed": speed,
                    "clips": int(chosen.sum()),
                    "of": {
                        one.name: measures(one.errors[error][chosen], bins.person[chosen])
                        for one in known
                    },
                }
            )
    return found


def overtakes(
    ours: Candidate, peers: Sequence[Candidate], bins: Bins, error: str
) -> list[dict[str, Any]]:
    """In each bin, ours against the best of the peers there, by AUC@10 (failures count as 0).

    The best one is picked in every bin anew and with the truth in hand, in favour of the peers.
    "ours" and "peer" are said where the interval of the difference leaves zero out, else "even".
    """
    found = []
    for light in range(len(LIGHTS_LUX)):
        for speed in range(len(SPEEDS_DEG_PER_S)):
            chosen = bins.cell(light, speed)
            entry: dict[str, Any] = {"light": light, "speed": speed, "clips": int(chosen.sum())}
            known = [one for one in peers if error in one.errors]
            if chosen.any() and known:
                best = max(known, key=lambda one: area_under_ced(one.errors[error][chosen]))
                mine, theirs = (one.errors[error][chosen] for one in (ours, best))
                more = bootstrap_mean(below_limit(mine) - below_limit(theirs), bins.person[chosen])
                who = "ours" if more.low > 0 else "peer" if more.high < 0 else "even"
                if len(np.unique(bins.person[chosen])) < _LEAST_PEOPLE:
                    who = "even"
                entry |= {
                    "peer": best.name,
                    "ours": measures(mine, bins.person[chosen]),
                    "theirs": measures(theirs, bins.person[chosen]),
                    "auc10_more": [more.mean, more.low, more.high],
                    "better": who,
                }
            found.append(entry)
    return found


def losses(rows_of_all: Sequence[Mapping[str, Any]], won: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where ours are worse, in sentences."""
    found = []
    for entry in won:
        if entry.get("better") == "peer":
            mean, low, high = entry["auc10_more"]
            found.append(
                f"{bin_name(entry)}: {entry['peer']} is better, AUC@10 "
                f"{entry['theirs']['auc10'][0]:.3f} against {entry['ours']['auc10'][0]:.3f} "
                f"({mean:+.3f}, {low:+.3f} to {high:+.3f})"
            )
    events = [row for row in rows_of_all if row["source"] == "events"]
    frames = [row for row in rows_of_all if row["source"] != "events" and row["cpu_ms"]]
    for mine in events:
        quicker = [row for row in frames if row["cpu_ms"] < mine["cpu_ms"]]
        found += [
            f"{row['name']} takes {row['cpu_ms']:.1f} ms of the processor, {mine['name']} "
            f"{mine['cpu_ms']:.1f} ms"
            for row in quicker
        ]
    return found


def bin_name(entry: Mapping[str, Any]) -> str:
    """ "0.1–1 lux, 300–1000 °/s"."""
    low, high = LIGHTS_LUX[entry["light"]]
    slow, fast = SPEEDS_DEG_PER_S[entry["speed"]]
    return f"{low:g}–{high:g} lux, {slow:g}–{fast:g} °/s"


def limit_percent() -> float:
    return 100 * LIMIT
