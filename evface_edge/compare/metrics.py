"""Answers → numbers: of each artefact with intervals, of each pair, of each landmark.

Every artefact is judged at the same instants. Means are over the instants at which it had a face;
an instant without one counts as failed in FR@10 and AUC@10.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evface_edge import landmarks as wflw
from evface_edge.bench.machine import describe_machine
from evface_edge.bench.run import file_mb
from evface_edge.compare.accuracy import Found, Instants
from evface_edge.compare.labelled import LabelledRecording
from evface_edge.metrics import (
    LIMIT,
    Floats,
    Interval,
    below_limit,
    bootstrap_mean,
    flicker,
    nme68,
    nme98,
    point_errors,
)

VERSION = 1
PARTS: dict[str, list[int]] = {
    "contour": list(range(98))[wflw.CONTOUR],
    "brows": list(range(98))[wflw.RIGHT_BROW] + list(range(98))[wflw.LEFT_BROW],
    "nose": list(range(98))[wflw.NOSE],
    "eyes": list(range(98))[wflw.RIGHT_EYE] + list(range(98))[wflw.LEFT_EYE],
    "lips": list(range(98))[wflw.OUTER_LIPS] + list(range(98))[wflw.INNER_LIPS],
    "pupils": [wflw.RIGHT_PUPIL, wflw.LEFT_PUPIL],
}


def face_errors(instants: Instants, found: Found) -> Floats:
    """(N,) NME-98 as a fraction; inf where there was no face."""
    errors = nme98(found.landmarks, instants.truth)
    return np.where(np.isnan(errors), np.inf, errors)


def compare(
    instants: Instants,
    results: Sequence[Found],
    videos: Sequence[LabelledRecording],
    rate_hz: float,
) -> dict[str, Any]:
    """All numbers of a comparison, fit for JSON."""
    return {
        "version": VERSION,
        "machine": describe_machine(),
        "data": {
            "recordings": [video.path.name for video in videos],
            "instants": len(instants.t_us),
            "rate_hz": rate_hz,
            "sha256": _digest(instants),
        },
        "models": [_figures(instants, found) for found in results],
        "pairs": [
            _pair(instants, one, other)
            for index, one in enumerate(results)
            for other in results[index + 1 :]
        ],
    }


def _digest(instants: Instants) -> str:
    """Of what was asked for: figures may be held against each other where this is the same."""
    parts = (instants.recording, instants.t_us, instants.truth)
    return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()


def _figures(instants: Instants, found: Found) -> dict[str, Any]:
    errors = face_errors(instants, found)
    seen = np.isfinite(errors)
    groups = instants.groups
    points = 100 * point_errors(found.landmarks[seen], instants.truth[seen])
    figures: dict[str, Any] = {
        "model": found.entry.label,
        "precision": found.card.precision,
        "runs_on": found.runs_on,
        "file_mb": file_mb(found.entry.path),
        "instants": len(errors),
        "without_face_percent": 100 * float(1 - seen.mean()),
        "nme98_percent": _interval(bootstrap_mean(100 * errors[seen], groups[seen])),
        "fr10_percent": _interval(bootstrap_mean(100.0 * (errors > LIMIT), groups)),
        "auc10": _interval(bootstrap_mean(below_limit(errors), groups)),
        "nmf_percent": _flicker(instants, found, seen),
        "network_fast_ms": found.latency.fast_ms,
        "network_p50_ms": found.latency.p50_ms,
        "network_p95_ms": found.latency.p95_ms,
        "network_p99_ms": found.latency.p99_ms,
        "disturbed": found.latency.disturbed,
        "update_p50_ms": float(np.percentile(found.update_ms, 50)),
        "update_p95_ms": float(np.percentile(found.update_ms, 95)),
    }
    if seen.any():
        errors68 = 100 * nme68(found.landmarks[seen], instants.truth[seen])
        figures |= {
            "nme68_percent": float(errors68.mean()),
            "nme98_median_percent": float(np.median(100 * errors[seen])),
            "landmark_percent": [round(float(value), 4) for value in points.mean(0)],
            "parts_percent": {
                name: float(points[:, indices].mean()) for name, indices in PARTS.items()
            },
        }
    return figures


def _interval(interval: Interval) -> list[float | None]:
    """[mean, low, high] with None for what is not known: JSON has no NaN."""
    values = (interval.mean, interval.low, interval.high)
    return [None if np.isnan(value) else value for value in values]


def _flicker(instants: Instants, found: Found, seen: NDArray[np.bool_]) -> float | None:
    """Mean NMF of the recordings, over the instants with a face."""
    values = []
    for index in np.unique(instants.recording):
        chosen = seen & (instants.recording == index)
        if chosen.sum() > 1:
            values.append(flicker(found.landmarks[chosen], instants.truth[chosen]))
    return 100 * float(np.mean(values)) if values else None


def _pair(instants: Instants, one: Found, other: Found) -> dict[str, Any]:
    """The second against the first, at the instants at which both had a face."""
    errors, others = face_errors(instants, one), face_errors(instants, other)
    both = np.isfinite(errors) & np.isfinite(others)
    worse = bootstrap_mean(100 * (others - errors)[both], instants.groups[both])
    pair: dict[str, Any] = {
        "first": one.entry.label,
        "second": other.entry.label,
        "instants": int(both.sum()),
        "nme98_difference_percent": _interval(worse),
        "speed_up": one.latency.fast_ms / other.latency.fast_ms,
    }
    if both.any():
        truth = instants.truth[both]
        # How far the two lie apart, with the first in the place of the truth but for the scale.
        shift = other.landmarks[both] - one.landmarks[both]
        apart = 100 * point_errors(truth + shift, truth)
        more = 100 * (
            point_errors(other.landmarks[both], truth) - point_errors(one.landmarks[both], truth)
        )
        pair |= {
            "apart_px": float(np.linalg.norm(shift, axis=-1).mean()),
            "landmark_apart_percent": [round(float(value), 4) for value in apart.mean(0)],
            "landmark_more_percent": [round(float(value), 4) for value in more.mean(0)],
        }
    return pair


def model_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """One flat row for each artefact, for CSV."""
    rows = []
    for model in report["models"]:
        row: dict[str, Any] = {}
        for key, value in model.items():
            if isinstance(value, list) and len(value) == 3:
                row |= {key: value[0], f"{key}_low": value[1], f"{key}_high": value[2]}
            elif isinstance(value, dict):
                row |= {f"{name}_percent": figure for name, figure in value.items()}
            elif not isinstance(value, list):
                row[key] = value
        rows.append(row)
    return rows


def landmark_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each landmark: its error with each artefact, in percent."""
    known = [model for model in report["models"] if "landmark_percent" in model]
    return [
        {"landmark": index, **{m["model"]: m["landmark_percent"][index] for m in known}}
        for index in range(wflw.NUM_LANDMARKS)
    ]


def instant_rows(
    instants: Instants, results: Sequence[Found], videos: Sequence[LabelledRecording]
) -> list[dict[str, Any]]:
    """One row for each instant: NME-98 of each artefact in percent, empty without a face."""
    errors = {found.entry.label: 100 * face_errors(instants, found) for found in results}
    rows = []
    for index, t_us in enumerate(instants.t_us):
        row: dict[str, Any] = {
            "recording": videos[instants.recording[index]].path.name,
            "t_us": int(t_us),
        }
        for label, values in errors.items():
            value = float(values[index])
            row[label] = round(value, 4) if np.isfinite(value) else None
        rows.append(row)
    return rows
