"""Metrics of a comparison: of each model with confidence intervals, of each pair and landmark.

Every model is evaluated at the same instants. Means are over the instants with a face; an instant
without a face counts as failed in FR@10 and AUC@10.
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
from evface_edge.compare.accuracy import Instants, ModelResult
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


def face_errors(instants: Instants, result: ModelResult) -> Floats:
    """Return NME-98 as a fraction, (N,); inf without a face."""
    errors = nme98(result.landmarks, instants.truth)
    return np.where(np.isnan(errors), np.inf, errors)


def compare(
    instants: Instants,
    results: Sequence[ModelResult],
    recordings: Sequence[LabelledRecording],
    rate_hz: float,
) -> dict[str, Any]:
    """Return all metrics of a comparison, for JSON."""
    return {
        "version": VERSION,
        "machine": describe_machine(),
        "data": {
            "recordings": [recording.path.name for recording in recordings],
            "instants": len(instants.t_us),
            "rate_hz": rate_hz,
            "sha256": _digest(instants),
        },
        "models": [_model_metrics(instants, result) for result in results],
        "pairs": [
            _pair(instants, one, other)
            for index, one in enumerate(results)
            for other in results[index + 1 :]
        ],
    }


def _digest(instants: Instants) -> str:
    """Return a hash of instants and labels: comparisons with the same hash are comparable."""
    parts = (instants.recording, instants.t_us, instants.truth)
    return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()


def _model_metrics(instants: Instants, result: ModelResult) -> dict[str, Any]:
    errors = face_errors(instants, result)
    valid = np.isfinite(errors)
    groups = instants.groups
    points = 100 * point_errors(result.landmarks[valid], instants.truth[valid])
    metrics: dict[str, Any] = {
        "model": result.entry.label,
        "precision": result.card.precision,
        "runs_on": result.runs_on,
        "file_mb": file_mb(result.entry.path),
        "instants": len(errors),
        "without_face_percent": 100 * float(1 - valid.mean()),
        "nme98_percent": _interval(bootstrap_mean(100 * errors[valid], groups[valid])),
        "fr10_percent": _interval(bootstrap_mean(100.0 * (errors > LIMIT), groups)),
        "auc10": _interval(bootstrap_mean(below_limit(errors), groups)),
        "nmf_percent": _flicker(instants, result, valid),
        "network_fast_ms": result.latency.fast_ms,
        "network_p50_ms": result.latency.p50_ms,
        "network_p95_ms": result.latency.p95_ms,
        "network_p99_ms": result.latency.p99_ms,
        "disturbed": result.latency.disturbed,
        "update_p50_ms": float(np.percentile(result.update_ms, 50)),
        "update_p95_ms": float(np.percentile(result.update_ms, 95)),
    }
    if valid.any():
        errors68 = 100 * nme68(result.landmarks[valid], instants.truth[valid])
        metrics |= {
            "nme68_percent": float(errors68.mean()),
            "nme98_median_percent": float(np.median(100 * errors[valid])),
            "landmark_percent": [round(float(value), 4) for value in points.mean(0)],
            "parts_percent": {
                name: float(points[:, indices].mean()) for name, indices in PARTS.items()
            },
        }
    return metrics


def _interval(interval: Interval) -> list[float | None]:
    """Return [mean, low, high] with None for NaN, which JSON does not have."""
    values = (interval.mean, interval.low, interval.high)
    return [None if np.isnan(value) else value for value in values]


def _flicker(instants: Instants, result: ModelResult, valid: NDArray[np.bool_]) -> float | None:
    """Return the mean NMF (flicker) of the recordings, over instants with a face, in percent."""
    values = []
    for index in np.unique(instants.recording):
        chosen = valid & (instants.recording == index)
        if chosen.sum() > 1:
            values.append(flicker(result.landmarks[chosen], instants.truth[chosen]))
    return 100 * float(np.mean(values)) if values else None


def _pair(instants: Instants, one: ModelResult, other: ModelResult) -> dict[str, Any]:
    """Compare the second model with the first, at the instants where both have a face."""
    errors, others = face_errors(instants, one), face_errors(instants, other)
    both = np.isfinite(errors) & np.isfinite(others)
    difference = bootstrap_mean(100 * (others - errors)[both], instants.groups[both])
    pair: dict[str, Any] = {
        "first": one.entry.label,
        "second": other.entry.label,
        "instants": int(both.sum()),
        "nme98_difference_percent": _interval(difference),
        "speed_up": one.latency.fast_ms / other.latency.fast_ms,
    }
    if both.any():
        truth = instants.truth[both]
        shift = other.landmarks[both] - one.landmarks[both]
        difference_by_point = 100 * (
            point_errors(other.landmarks[both], truth) - point_errors(one.landmarks[both], truth)
        )
        pair |= {
            "distance_px": float(np.linalg.norm(shift, axis=-1).mean()),
            "landmark_difference_percent": [
                round(float(v), 4) for v in difference_by_point.mean(0)
            ],
        }
    return pair


def model_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one flat row for each model, for CSV."""
    rows = []
    for model in report["models"]:
        row: dict[str, Any] = {}
        for key, value in model.items():
            if isinstance(value, list) and len(value) == 3:
                row |= {key: value[0], f"{key}_low": value[1], f"{key}_high": value[2]}
            elif isinstance(value, dict):
                row |= {f"{name}_percent": part for name, part in value.items()}
            elif not isinstance(value, list):
                row[key] = value
        rows.append(row)
    return rows


def landmark_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each landmark: its error with each model, in percent."""
    known = [model for model in report["models"] if "landmark_percent" in model]
    return [
        {"landmark": index, **{m["model"]: m["landmark_percent"][index] for m in known}}
        for index in range(wflw.NUM_LANDMARKS)
    ]


def instant_rows(
    instants: Instants, results: Sequence[ModelResult], recordings: Sequence[LabelledRecording]
) -> list[dict[str, Any]]:
    """Return one row for each instant: NME-98 of each model in percent, empty without a face."""
    errors = {one.entry.label: 100 * face_errors(instants, one) for one in results}
    rows = []
    for index, t_us in enumerate(instants.t_us):
        row: dict[str, Any] = {
            "recording": recordings[instants.recording[index]].path.name,
            "t_us": int(t_us),
        }
        for label, values in errors.items():
            value = float(values[index])
            row[label] = round(value, 4) if np.isfinite(value) else None
        rows.append(row)
    return rows
