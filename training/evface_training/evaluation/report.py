"""Samples → metrics of each set, each bin and presence, as a mapping and as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from evface_edge.metrics import (
    COVERED,
    Floats,
    area_under_ced,
    coverage,
    failure_rate,
    nme5,
    nme68,
    nme98,
    point_errors,
    roc,
    sigma_ratio,
)
from evface_training.evaluation.benchmark_sets import LIGHT_BINS_LUX, SPEED_BINS_DEG_PER_S, bin_of
from evface_training.evaluation.landmarks import SampleResult, SetResult

YAW_BINS_DEG = (15.0, 30.0, 45.0)
#: Events ÷ target events of the model's window policy, in percent.
WINDOW_BINS_PERCENT = (10.0, 30.0, 90.0)

Metrics = dict[str, float]


def face_errors(samples: Sequence[SampleResult]) -> Floats:
    """(N,) NME-98 of each face as a fraction; inf without a result."""
    return np.array(
        [np.inf if s.predicted is None else nme98(s.predicted, s.truth) for s in samples]
    )


def summary(result: SetResult) -> Metrics:
    """The metrics of one set.

    Means and medians are over the faces with a result; `faces_without_result` counts the others,
    such as recordings without any event. FR and AUC count those as failures.
    """
    samples = result.samples
    with_result = [s for s in samples if s.predicted is not None]
    metrics: Metrics = {
        "faces": float(len(samples)),
        "faces_without_result": float(len(samples) - len(with_result)),
    }
    if not with_result:
        return metrics
    predicted = np.stack([s.predicted for s in with_result if s.predicted is not None])
    sigma = np.stack([s.sigma for s in with_result if s.sigma is not None])
    truth = np.stack([s.truth for s in with_result])
    error68 = 100 * nme68(predicted, truth)
    points = np.full((len(samples), truth.shape[1]), np.inf)
    points[: len(with_result)] = point_errors(predicted, truth)
    faces = face_errors(samples)
    z = np.linalg.norm(predicted - truth, axis=-1) / sigma
    metrics |= {
        "nme98_percent": 100 * float(nme98(predicted, truth).mean()),
        "nme68_percent": float(error68.mean()),
        "nme68_median_percent": float(np.median(error68)),
        "nme5_percent": 100 * float(nme5(predicted, truth).mean()),
        "fr10_faces_percent": 100 * failure_rate(faces),
        "fr10_points_percent": 100 * failure_rate(points),
        "auc10_faces": area_under_ced(faces),
        "auc10_points": area_under_ced(points),
        "presence_mean": float(np.mean([s.presence for s in samples])),
        "sigma_ratio": sigma_ratio(z),
        "sigma_calibration_error_percent": 100
        * float(np.mean([abs(coverage(z, p) - p) for p in COVERED])),
    }
    metrics |= {f"sigma_covers_{round(100 * p)}_percent": 100 * coverage(z, p) for p in COVERED}
    if result.flickers:
        metrics["nmf_percent"] = 100 * float(np.mean(result.flickers))
    return metrics


def _bins() -> dict[str, tuple[tuple[float, ...], str, Callable[[SampleResult], float]]]:
    return {
        "light": (LIGHT_BINS_LUX, "lux", lambda s: s.lux),
        "speed": (SPEED_BINS_DEG_PER_S, "°/s", lambda s: s.speed_deg_per_s),
        "events": (
            WINDOW_BINS_PERCENT,
            "% of the window",
            lambda s: 100 * s.events / s.target_events,
        ),
        "yaw": (YAW_BINS_DEG, "°", lambda s: abs(s.yaw_deg)),
    }


def binned(results: Sequence[SetResult]) -> dict[str, dict[str, Metrics]]:
    """Metrics by light, speed, events in the window and yaw, over all sets."""
    samples = [sample for result in results for sample in result.samples]
    tables: dict[str, dict[str, Metrics]] = {}
    for name, (edges, unit, value) in _bins().items():
        known = sorted((s for s in samples if np.isfinite(value(s))), key=value)
        parts: dict[str, list[SampleResult]] = {}
        for sample in known:
            parts.setdefault(bin_of(value(sample), edges, unit), []).append(sample)
        tables[name] = {label: summary(SetResult(label, part, [])) for label, part in parts.items()}
    return tables


def presence_metrics(faces: Sequence[SampleResult], negatives: Sequence[SampleResult]) -> Metrics:
    """How well presence separates faces from negatives."""
    curve = roc(*(np.array([s.presence for s in part]) for part in (faces, negatives)))
    return {
        "faces": float(len(faces)),
        "negatives": float(len(negatives)),
        "roc_area": curve.area,
        "tpr_percent_at_fpr_1_percent": 100 * curve.true_positive_at(0.01),
        "faces_accepted_percent": 100 * float(np.mean([s.accepted for s in faces])),
        "negatives_accepted_percent": 100 * float(np.mean([s.accepted for s in negatives])),
    }


#: Metrics in the table of sets, and their headings; the JSON has all.
_COLUMNS = {
    "faces": "faces",
    "faces_without_result": "no result",
    "nme98_percent": "NME-98 %",
    "nme68_percent": "NME-68 %",
    "nme68_median_percent": "median",
    "nme5_percent": "NME-5 %",
    "fr10_faces_percent": "FR faces %",
    "fr10_points_percent": "FR points %",
    "auc10_faces": "AUC faces",
    "auc10_points": "AUC points",
    "nmf_percent": "NMF %",
    "sigma_ratio": "error ÷ σ",
    "sigma_covers_90_percent": "in 90 % σ",
}
_BIN_COLUMNS = ("faces", "nme98_percent", "nme68_percent", "fr10_faces_percent", "sigma_ratio")


def table(report: Mapping[str, Any]) -> str:
    """The report as aligned text."""
    parts = []
    if report.get("sets"):
        parts.append(_grid("set", report["sets"], tuple(_COLUMNS)))
    parts += [_grid(n, rows, _BIN_COLUMNS) for n, rows in report.get("bins", {}).items() if rows]
    lists = {name: report[name] for name in ("presence", "negative_recordings") if name in report}
    for group in ("tracking", "head_pose"):
        lists |= {f"{group}, {name}": row for name, row in report.get(group, {}).items()}
    for name, metrics in lists.items():
        lines = (f"  {key.replace('_', ' '):<44} {value:10.4g}" for key, value in metrics.items())
        parts.append("\n".join([name.replace("_", " "), *lines]))
    return "\n\n".join(parts)


def _grid(title: str, rows: Mapping[str, Metrics], columns: Sequence[str]) -> str:
    used = [column for column in columns if any(column in row for row in rows.values())]
    width = max([len(title), *(len(name) for name in rows)])
    lines = [" ".join([title.ljust(width), *(f"{_COLUMNS[c]:>11}" for c in used)])]
    for name, row in rows.items():
        lines.append(" ".join([name.ljust(width), *(_cell(column, row) for column in used)]))
    return "\n".join(lines)


def _cell(column: str, row: Metrics) -> str:
    if column not in row:
        return f"{'–':>11}"
    return f"{row[column]:11.{0 if column.startswith('faces') else 3}f}"
