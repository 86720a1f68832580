"""A run over time as a plot: needs matplotlib (extra `report`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import RuntimeUnavailable
from evface_edge.results.face import FaceLandmarks, FaceState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evface_edge.results.predictions import Predictions

PLOT_SUFFIXES = {".png", ".svg", ".pdf"}

#: Okabe and Ito's colours, which the colour-blind can tell apart.
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"
_STYLES = ("-", "--", ":", "-.")
#: Between results further apart than this, no line is drawn.
_BREAK_S = 0.2


def draw_plot(predictions: Predictions, *, pose: bool = True) -> Figure:
    """Panels over seconds since the first result; each face has a style of line."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise RuntimeUnavailable(
            "a plot needs matplotlib: pip install 'evface-edge[report]'"
        ) from None
    titles = ["openness of the eyes", "openness of the mouth"]
    titles += ["head pose, °"] * pose + ["presence", "σ, pixels"]
    figure = Figure(figsize=(10, 1.7 * len(titles) + 0.8), layout="constrained")
    axes = dict(zip(titles, figure.subplots(len(titles), 1, sharex=True), strict=True))
    start_us = predictions[0].t_us if len(predictions) else 0
    faces: dict[int, list[FaceLandmarks]] = {}
    for face in predictions:
        faces.setdefault(face.face_id, []).append(face)
    for index, (face_id, own) in enumerate(sorted(faces.items())):
        style = _STYLES[index % len(_STYLES)]
        name = f"face {face_id}: " if len(faces) > 1 else ""
        time_s = np.array([face.t_us - start_us for face in own]) / 1e6
        for title, what, values, colour in _curves(own, pose):
            axes[title].plot(
                *_broken(time_s, values), style, color=colour, lw=1.2, label=name + what
            )
    _mark_held(axes, faces, start_us)
    blinks = predictions.blinks()
    for number, blink in enumerate(blinks):
        begin_s = (blink.onset_us - start_us) / 1e6
        axes[titles[0]].axvspan(
            begin_s,
            begin_s + blink.duration_us / 1e6,
            color=_RED,
            alpha=0.3,
            lw=0,
            label="blink" if number == 0 else None,
        )
    for title, axis in axes.items():
        axis.set_title(title, loc="left", fontsize=10)
        axis.grid(alpha=0.3)
        axis.margins(x=0)
        if axis.get_legend_handles_labels()[0]:
            # Above the panel: inside, it would hide the curves.
            corner = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
            axis.legend(fontsize=8, ncols=6, frameon=False, **corner)
    axes["presence"].set_ylim(-0.03, 1.03)
    for title in (*titles[:2], "σ, pixels"):
        # Room above: a curve that touches the frame looks cut off.
        axes[title].set_ylim(0, 1.12 * axes[title].get_ylim()[1])
    axes[titles[-1]].set_xlabel("seconds")
    many = "blink" if len(blinks) == 1 else "blinks"
    figure.suptitle(
        f"{predictions.model}: {len(predictions):,} results, {len(blinks)} {many}", fontsize=11
    )
    return figure


def _curves(
    faces: list[FaceLandmarks], pose: bool
) -> Iterator[tuple[str, str, NDArray[np.floating], str]]:
    """(panel, name, values, colour) of one face."""
    eyes = np.array([face.eye_aspect_ratio for face in faces])
    yield "openness of the eyes", "right eye", eyes[:, 0], _BLUE
    yield "openness of the eyes", "left eye", eyes[:, 1], _ORANGE
    mouth = np.array([face.mouth_aspect_ratio for face in faces])
    yield "openness of the mouth", "mouth", mouth, _BLUE
    if pose:
        heads = [face.head_pose() for face in faces]
        for name, colour in (("yaw", _BLUE), ("pitch", _ORANGE), ("roll", _GREEN)):
            angles = np.array([getattr(head, f"{name}_deg") for head in heads])
            yield "head pose, °", name, angles, colour
    yield "presence", "presence", np.array([face.presence for face in faces]), _GREEN
    sigma = np.array([face.sigma.mean() for face in faces])
    yield "σ, pixels", "mean σ", sigma, _BLUE


def _broken(
    time_s: NDArray[np.floating], values: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The curve with a NaN in each gap, where matplotlib draws no line."""
    gaps = np.flatnonzero(np.diff(time_s) > _BREAK_S) + 1
    return np.insert(time_s, gaps, time_s[gaps - 1]), np.insert(values, gaps, np.nan)


def _mark_held(axes: dict[str, Any], faces: dict[int, list[FaceLandmarks]], start_us: int) -> None:
    """Grey where the landmarks of a face were held."""
    labelled = False
    for own in faces.values():
        for begin_us, end_us in _held_spans(own):
            for title, axis in axes.items():
                label = "held" if title == "presence" and not labelled else None
                labelled = labelled or label is not None
                span = ((begin_us - start_us) / 1e6, (end_us - start_us) / 1e6)
                axis.axvspan(*span, color=_GREY, alpha=0.25, lw=0, label=label)


def _held_spans(faces: list[FaceLandmarks]) -> Iterator[tuple[int, int]]:
    begin: FaceLandmarks | None = None
    before: FaceLandmarks | None = None
    for face in faces:
        if face.state is FaceState.HELD:
            begin = begin or face
        elif begin is not None:
            yield begin.t_us, face.t_us
            begin = None
        before = face
    if begin is not None and before is not None:
        yield begin.t_us, before.t_us
