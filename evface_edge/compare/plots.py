"""Plots of a comparison, made with matplotlib (extra `report`) and Pillow."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from evface_edge import landmarks as wflw
from evface_edge.compare.accuracy import Instants, ModelResult
from evface_edge.compare.labelled import LabelledRecording
from evface_edge.compare.metrics import face_errors
from evface_edge.errors import RuntimeUnavailable
from evface_edge.events import read_events
from evface_edge.geometry import Box
from evface_edge.metrics import LIMIT, area_under_ced, ced_curve
from evface_edge.results.drawing import event_image

_TILE_PX, _TEXT_PX = 280, 34
_SHOWN_US = 30_000
_TRUTH, _PREDICTED = (255, 255, 255), (255, 170, 0)
#: Worst instants shown for each model.
_WORST = 4


def require_matplotlib() -> None:
    """Raise RuntimeUnavailable unless matplotlib is installed."""
    try:
        import matplotlib as _  # noqa: F401
    except ImportError as error:
        raise RuntimeUnavailable(
            f"report.html needs matplotlib ({error}): pip install 'evface-edge[report]', or use "
            "--no-page"
        ) from error


def draw_all(
    report: dict[str, Any],
    instants: Instants,
    results: Sequence[ModelResult],
    recordings: Sequence[LabelledRecording],
) -> dict[str, bytes]:
    """Return name → PNG: pareto, ced, landmarks, worst, and precision if there are two."""
    images = {
        "pareto": pareto(report),
        "ced": ced(instants, results),
        "landmarks": landmark_faces(report, instants),
        "worst": worst_cases(instants, results, recordings),
    }
    precision = precision_faces(report, instants)
    if precision is not None:
        images["precision"] = precision
    return images


def _figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _png(figure: Any) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return data.getvalue()


def pareto(report: dict[str, Any]) -> bytes:
    """Plot error over latency; the lower left is better."""
    figure, (axes,) = _figure(6.2, 4.4)
    known = [model for model in report["models"] if model["nme98_percent"][0] is not None]
    for model in known:
        mean, low, high = model["nme98_percent"]
        x = model["network_fast_ms"]
        label = f"{model['model']}, {model['file_mb']:.2f} MB"
        spread = [[mean - low], [high - mean]]
        axes.errorbar(x, mean, yerr=spread, fmt="o", ms=9, capsize=4, alpha=0.8, label=label)
    best, front = np.inf, []
    for model in sorted(known, key=lambda m: (m["network_fast_ms"], m["nme98_percent"][0])):
        if model["nme98_percent"][0] < best:
            best = model["nme98_percent"][0]
            front.append((model["network_fast_ms"], best))
    if front:
        axes.step(*zip(*front, strict=True), where="post", color="grey", ls=":", zorder=0)
    if known:
        axes.legend(fontsize=9)
    axes.margins(x=0.25, y=0.35)
    axes.set(
        xlabel="latency of the network, one core, batch 1, ms (p10)",
        ylabel="NME-98, % (95 % interval)",
    )
    axes.set_title("Error and latency (lower left is better)")
    axes.grid(alpha=0.3)
    return _png(figure)


def ced(instants: Instants, results: Sequence[ModelResult]) -> bytes:
    """Plot the cumulative error distributions."""
    figure, (axes,) = _figure(6.2, 4.4)
    for result in results:
        errors = face_errors(instants, result)
        steps, fractions = ced_curve(errors)
        label = f"{result.entry.label}: AUC@10 {area_under_ced(errors):.3f}"
        axes.step(100 * steps.clip(max=1), 100 * fractions, where="post", label=label)
    axes.set(xlim=(0, 100 * LIMIT), ylim=(0, 100), xlabel="NME-98, %", ylabel="instants, %")
    axes.set_title("Instants with a smaller error (upper left is better)")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    return _png(figure)


def mean_face(truth: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mean face (98, 2) with the outer eye corners at (0, 0) and (1, 0)."""
    right, left = (truth[:, corner] for corner in wflw.EYE_CORNERS)
    axis = left - right
    length = (axis**2).sum(-1)[:, None]
    moved = truth - right[:, None]
    along = (moved * axis[:, None]).sum(-1) / length
    across = (moved[..., 1] * axis[:, None, 0] - moved[..., 0] * axis[:, None, 1]) / length
    return np.asarray(np.stack([along, across], -1).mean(0), np.float64)


def landmark_faces(report: dict[str, Any], instants: Instants) -> bytes:
    """Plot the error of each landmark, one face for each model with a common colour scale."""
    known = [model for model in report["models"] if "landmark_percent" in model]
    values = [np.array(model["landmark_percent"]) for model in known]
    top = max((value.max() for value in values), default=1.0)
    titles = [f"{m['model']}: mean {m['nme98_percent'][0]:.2f} %" for m in known]
    return _faces(
        instants, values, titles, "magma_r", 0.0, float(top), "mean error, % of eye distance"
    )


def precision_faces(report: dict[str, Any], instants: Instants) -> bytes | None:
    """Plot the error added by a lower precision; None without a pair on the same runtime."""
    precisions = {model["model"]: model["precision"] for model in report["models"]}
    values, titles = [], []
    for pair in report["pairs"]:
        names = {precisions[pair[key]]: pair[key] for key in ("first", "second")}
        runtimes = {pair[key].partition("@")[2] for key in ("first", "second")}
        differ = "fp32" in names and len(names) == 2 and len(runtimes) == 1
        if not differ or "landmark_difference_percent" not in pair:
            continue
        sign = 1.0 if precisions[pair["first"]] == "fp32" else -1.0
        values.append(sign * np.array(pair["landmark_difference_percent"]))
        other = next(name for precision, name in names.items() if precision != "fp32")
        mean, px = values[-1].mean(), pair["distance_px"]
        titles.append(f"{other} - {names['fp32']}\n{mean:+.3f} %, landmarks differ by {px:.2f} px")
    if not values:
        return None
    top = max(float(np.abs(value).max()) for value in values)
    label = "error added to FP32, % of eye distance"
    return _faces(instants, values, titles, "RdBu_r", -top, top, label)


def _faces(
    instants: Instants,
    values: Sequence[NDArray[np.floating]],
    titles: Sequence[str],
    colours: str,
    low: float,
    high: float,
    label: str,
) -> bytes:
    shape = mean_face(instants.truth)
    count = max(len(values), 1)
    columns = 2 if count == 4 else min(count, 3)
    rows = -(-count // columns)
    figure, all_axes = _figure(max(3.6 * columns + 0.9, 5), 4.4 * rows, columns, rows)
    drawn = None
    for axes, value, title in zip(all_axes, values, titles, strict=False):
        for first, last, closed in wflw.CURVES:
            curve = shape[[*range(first, last + 1), *[first] * closed]]
            axes.plot(curve[:, 0], curve[:, 1], color="#c8ccd4", lw=1, zorder=0)
        drawn = axes.scatter(
            *shape.T, c=value, cmap=colours, vmin=low, vmax=high, s=34, edgecolors="#555", lw=0.4
        )
        axes.set_title(title, fontsize=10)
    for axes in all_axes:
        axes.set_aspect("equal")
        axes.invert_yaxis()
        axes.axis("off")
    if drawn is not None:
        figure.colorbar(drawn, ax=all_axes, shrink=0.8, label=label)
    return _png(figure)


def worst_cases(
    instants: Instants, results: Sequence[ModelResult], recordings: Sequence[LabelledRecording]
) -> bytes:
    """Draw the worst instants of each model, one row each, at most one in a quarter second."""
    rows = []
    for result in results:
        errors = face_errors(instants, result)
        tiles, groups = [], set()
        for index in np.argsort(-errors, kind="stable"):
            group = int(instants.groups[index])
            if group in groups:
                continue
            groups.add(group)
            recording = recordings[int(instants.recording[index])]
            tiles.append(_tile(recording, instants, result, int(index), float(errors[index])))
            if len(tiles) == _WORST:
                break
        tiles += [Image.new("RGB", tiles[0].size)] * (_WORST - len(tiles))
        rows.append(np.concatenate([np.asarray(tile) for tile in tiles], axis=1))
    data = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(data, "PNG")
    return data.getvalue()


def _tile(
    recording: LabelledRecording, instants: Instants, result: ModelResult, index: int, error: float
) -> Image.Image:
    """Draw the newest events around the face; ground truth white, prediction orange."""
    events, size = read_events(recording.path)
    now_us = int(instants.t_us[index])
    start, stop = np.searchsorted(events["t"], [now_us - _SHOWN_US, now_us + 1])
    crop = Box.around(instants.truth[index]).square(1.5)
    region = (crop.x, crop.y, crop.x + crop.width, crop.y + crop.height)
    image = Image.fromarray(event_image(events[start:stop], size))
    image = image.crop(tuple(round(edge) for edge in region))  # type: ignore[arg-type]
    image = image.resize((_TILE_PX, _TILE_PX), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    scale = _TILE_PX / crop.width
    for points, colour in (
        (instants.truth[index], _TRUTH),
        (result.landmarks[index], _PREDICTED),
    ):
        if np.isfinite(points).all():
            for x, y in (points - [round(crop.x), round(crop.y)] + 0.5) * scale:
                draw.ellipse((x - 1.6, y - 1.6, x + 1.6, y + 1.6), fill=colour)
    tile = Image.new("RGB", (_TILE_PX + 4, _TILE_PX + _TEXT_PX), (11, 14, 20))
    tile.paste(image, (0, _TEXT_PX))
    shown = f"{100 * error:.1f} %" if np.isfinite(error) else "no face"
    text = f"{result.entry.label}: {shown}\n{recording.path.stem}, {now_us / 1e6:.2f} s"
    ImageDraw.Draw(tile).text((5, 3), text, fill=(230, 234, 240), font=ImageFont.load_default(12))
    return tile
