"""Curves of an evaluation as an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evface_edge.errors import RuntimeUnavailable
from evface_edge.metrics import LIMIT, area_under_ced, roc
from evface_training.evaluation.landmarks import SampleResult, SetResult
from evface_training.evaluation.report import face_errors


def plot_curves(
    path: Path, title: str, results: Sequence[SetResult], negatives: Sequence[SampleResult]
) -> None:
    """Plot the cumulative errors of each set, and the ROC of presence if there are negatives.

    Raises:
        RuntimeUnavailable: no matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeUnavailable(
            f"curves need matplotlib ({error})", fix="pip install 'evface-edge[train]'"
        ) from error
    figure = Figure(figsize=(11 if negatives else 6, 4.5), layout="constrained")
    axes = figure.subplots(1, 2 if negatives else 1, squeeze=False)[0]
    ced = axes[0]
    for result in results:
        errors = np.sort(face_errors(result.samples)).clip(max=1)
        label = f"{result.name}: AUC@10 {area_under_ced(errors):.3f}"
        steps = np.arange(len(errors) + 1) / len(errors)
        ced.step(100 * np.append(0, errors), 100 * steps, where="post", label=label)
    ced.set(xlim=(0, 100 * LIMIT), ylim=(0, 100), xlabel="NME-98, %", ylabel="faces, %")
    ced.set_title(title)
    ced.legend(loc="lower right")
    ced.grid(alpha=0.3)
    if negatives:
        faces = [sample.presence for result in results for sample in result.samples]
        curve = roc(np.array(faces), np.array([sample.presence for sample in negatives]))
        axes[1].step(100 * curve.false_positive, 100 * curve.true_positive, where="post")
        axes[1].set(xlabel="negatives accepted, %", ylabel="faces accepted, %")
        axes[1].set_title(f"presence: area {curve.area:.4f}")
        axes[1].grid(alpha=0.3)
    figure.savefig(path, dpi=120)
