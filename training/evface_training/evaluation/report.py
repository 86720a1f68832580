"""Answers → figures: of each set, of each bin, of presence; as a mapping and as a table."""

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
from evface_training.evaluation.samples import Answer, SetResult

YAW_BINS_DEG = (15.0, 30.0, 45.0)
#: Events ÷ events that the model's window asks for, in percent.
WINDOW_BINS_PERCENT = (10.0, 30.0, 90.0)

Figures = dict[str, float]


def face_errors(answers: Sequence[Answer]) -> Floats:
    """(N,) NME-98 of each face as a fraction; inf where there was no answer."""
    return np.array([np.inf if a.found is None else nme98(a.found, a.truth) for a in answers])


def summary(result: SetResult) -> Figures:
    """The figures of one set.

    Means and medians are over the faces with an answer; `faces_without_answer` says how many had
    none, such as a recording without any event. FR and AUC count those as failures.
    """
    answers = result.answers
    seen = [a for a in answers if a.found is not None]
    figures: Figures = {
        "faces": float(len(answers)),
        "faces_without_answer": float(len(answers) - len(seen)),
    }
    if not seen:
        return figures
    found = np.stack([a.found for a in seen if a.found is not None])
    sigma = np.stack([a.sigma for a in seen if a.sigma is not None])
    truth = np.stack([a.truth for a in seen])
    error68 = 100 * nme68(found, truth)
    points = np.full((len(answers), truth.shape[1]), np.inf)
    points[: len(seen)] = point_errors(found, truth)
    faces = face_errors(answers)
    z = np.linalg.norm(found - truth, axis=-1) / sigma
    figures |= {
        "nme98_percent": 100 * float(nme98(found, truth).mean()),
        "nme68_percent": float(error68.mean()),
        "nme68_median_percent": float(np.median(error68)),
        "nme5_percent": 100 * float(nme5(found, truth).mean()),
        "fr10_faces_percent": 100 * failure_rate(faces),
        "fr10_points_percent": 100 * failure_rate(points),
        "auc10_faces": area_under_ced(faces),
        "auc10_points": area_under_ced(points),
        "presence_mean": float(np.mean([a.presence for a in answers])),
        "sigma_ratio": sigma_ratio(z),
        "sigma_calibration_error_percent": 100
        * float(np.mean([abs(coverage(z, p) - p) for p in COVERED])),
    }
    figures |= {f"sigma_covers_{round(100 * p)}_percent": 100 * coverage(z, p) for p in COVERED}
    if result.flickers:
        figures["nmf_percent"] = 100 * float(np.mean(result.flickers))
    return figures


def _bins() -> dict[str, tuple[tuple[float, ...], str, Callable[[Answer], float]]]:
    return {
        "light": (LIGHT_BINS_LUX, "lux", lambda a: a.lux),
        "speed": (SPEED_BINS_DEG_PER_S, "°/s", lambda a: a.speed_deg_per_s),
        "events": (WINDOW_BINS_PERCENT, "% of the window", lambda a: 100 * a.events / a.wanted),
        "yaw": (YAW_BINS_DEG, "°", lambda a: abs(a.yaw_deg)),
    }


def binned(results: Sequence[SetResult]) -> dict[str, dict[str, Figures]]:
    """Figures by light, speed, events in the window and yaw, over all sets together."""
    answers = [answer for result in results for answer in result.answers]
    tables: dict[str, dict[str, Figures]] = {}
    for name, (edges, unit, value) in _bins().items():
        known = sorted((a for a in answers if np.isfinite(value(a))), key=value)
        parts: dict[str, list[Answer]] = {}
        for answer in known:
            parts.setdefault(bin_of(value(answer), edges, unit), []).append(answer)
        tables[name] = {label: summary(SetResult(label, part, [])) for label, part in parts.items()}
    return tables


def presence_figures(faces: Sequence[Answer], others: Sequence[Answer]) -> Figures:
    """How presence tells faces from what is none."""
    curve = roc(*(np.array([a.presence for a in part]) for part in (faces, others)))
    return {
        "faces": float(len(faces)),
        "others": float(len(others)),
        "roc_area": curve.area,
        "seen_at_1_percent_false": 100 * curve.true_positive_at(0.01),
        "faces_accepted_percent": 100 * float(np.mean([a.accepted for a in faces])),
        "others_accepted_percent": 100 * float(np.mean([a.accepted for a in others])),
    }


#: What the table of sets shows, and its headings; all of it is in the JSON.
_COLUMNS = {
    "faces": "faces",
    "faces_without_answer": "no answer",
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
    parts = [_grid("set", report["sets"], tuple(_COLUMNS))]
    parts += [_grid(name, rows, _BIN_COLUMNS) for name, rows in report["bins"].items() if rows]
    for name in ("presence", "without_a_face"):
        if name in report:
            values = (f"{key} {value:.4g}" for key, value in report[name].items())
            parts.append(f"{name}: {', '.join(values)}")
    return "\n\n".join(parts)


def _grid(title: str, rows: Mapping[str, Figures], columns: Sequence[str]) -> str:
    used = [column for column in columns if any(column in row for row in rows.values())]
    width = max([len(title), *(len(name) for name in rows)])
    lines = [" ".join([title.ljust(width), *(f"{_COLUMNS[c]:>11}" for c in used)])]
    for name, row in rows.items():
        lines.append(" ".join([name.ljust(width), *(_cell(column, row) for column in used)]))
    return "\n".join(lines)


def _cell(column: str, row: Figures) -> str:
    if column not in row:
        return f"{'–':>11}"
    return f"{row[column]:11.{0 if column.startswith('faces') else 3}f}"
