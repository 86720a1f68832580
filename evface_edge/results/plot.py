"""A run over time as a plot: needs matplotlib (extra `report`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import RuntimeUnavailable
from evface_edge.results.face import FaceLandmarks, FaceState
from evface_edge.results.table import Derived, stacked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOT_SUFFIXES = {".png", ".svg", ".pdf"}

# The palette of Okabe and Ito, which colour-blind people can distinguish.
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"
_STYLES = ("-", "--", ":", "-.")
#: No line is drawn between results that are further apart.
_BREAK_S = 0.2

#: Panel → its curves and their colours, in the order of `_values`.
_PANELS = {
    "eye aspect ratio": (("right eye", _BLUE), ("left eye", _ORANGE)),
    "mouth aspect ratio": (("mouth", _BLUE),),
    "head pose, °": (("yaw", _BLUE), ("pitch", _ORANGE), ("roll", _GREEN)),
    "presence": (("presence", _GREEN),),
    "σ, pixels": (("mean σ", _BLUE),),
}


def draw_plot(faces: Sequence[FaceLandmarks], derived: Derived, *, title: str) -> Figure:
    """Panels over seconds since the first result; each face has a line style of its own.

    Raises:
        RuntimeUnavailable: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise RuntimeUnavailable(
            "a plot needs matplotlib: pip install 'evface-edge[report]'"
        ) from None
    figure = Figure(figsize=(10, 1.7 * len(_PANELS) + 0.8), layout="constrained")
    axes = dict(zip(_PANELS, figure.subplots(len(_PANELS), 1, sharex=True), strict=True))
    start_us = faces[0].t_us if faces else 0
    time_s = np.array([face.t_us - start_us for face in faces]) / 1e6
    values = _values(faces, derived)
    face_ids = np.array([face.face_id for face in faces])
    held: list[tuple[float, float]] = []
    for index, face_id in enumerate(np.unique(face_ids)):
        own = np.flatnonzero(face_ids == face_id)
        style = _STYLES[index % len(_STYLES)]
        prefix = f"face {face_id}: " if len(own) < len(faces) else ""
        curves = iter(values)
        for panel, names in _PANELS.items():
            for name, colour in names:
                line = _broken(time_s[own], next(curves)[own])
                axes[panel].plot(*line, style, color=colour, lw=1.2, label=prefix + name)
        held += _held_spans([faces[row] for row in own.tolist()], time_s[own])
    for panel, axis in axes.items():
        _shade(axis, held, color=_GREY, alpha=0.25, label="held" if panel == "presence" else None)
    blinks = [((b.onset_us - start_us) / 1e6, (b.end_us - start_us) / 1e6) for b in derived.blinks]
    _shade(axes["eye aspect ratio"], blinks, color=_RED, alpha=0.3, label="blink")
    for panel, axis in axes.items():
        _finish(axis, panel)
    axes["σ, pixels"].set_xlabel("seconds")
    count = f"{len(blinks)} blink{'s' * (len(blinks) != 1)}"
    figure.suptitle(f"{title}: {len(faces):,} results, {count}", fontsize=11)
    return figure


def _values(faces: Sequence[FaceLandmarks], derived: Derived) -> list[NDArray[np.floating]]:
    """(N,) values of each curve of `_PANELS`."""
    presence = np.array([face.presence for face in faces])
    sigma = stacked(faces)[1].mean(axis=1)
    return [*derived.ratios.T, *derived.angles_deg.T, presence, sigma]


def _broken(
    time_s: NDArray[np.floating], values: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The curve with a NaN in each gap, where matplotlib draws no line."""
    gaps = np.flatnonzero(np.diff(time_s) > _BREAK_S) + 1
    return np.insert(time_s, gaps, time_s[gaps - 1]), np.insert(values, gaps, np.nan)


def _held_spans(
    faces: list[FaceLandmarks], time_s: NDArray[np.floating]
) -> Iterator[tuple[float, float]]:
    """From the first held result to the first that is not, or to the last one."""
    begin_s: float | None = None
    for face, now_s in zip(faces, time_s.tolist(), strict=True):
        if face.state is FaceState.HELD:
            begin_s = now_s if begin_s is None else begin_s
        elif begin_s is not None:
            yield begin_s, now_s
            begin_s = None
    if begin_s is not None:
        yield begin_s, float(time_s[-1])


def _shade(
    axis: Any, spans: list[tuple[float, float]], *, color: str, alpha: float, label: str | None
) -> None:
    for number, span in enumerate(spans):
        axis.axvspan(*span, color=color, alpha=alpha, lw=0, label=None if number else label)


def _finish(axis: Any, panel: str) -> None:
    axis.set_title(panel, loc="left", fontsize=10)
    axis.grid(alpha=0.3)
    axis.margins(x=0)
    if axis.get_legend_handles_labels()[0]:
        # Above the panel, where it hides no curve.
        corner = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
        axis.legend(fontsize=8, ncols=6, frameon=False, **corner)
    if panel == "presence":
        axis.set_ylim(-0.03, 1.03)
    elif panel != "head pose, °":
        # With room above, so that curves do not touch the frame.
        axis.set_ylim(0, 1.12 * axis.get_ylim()[1])
