"""Where events overtake frames, as images: drawn from the JSON alone, but for the examples."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.peers.clips import LIGHTS_LUX, SPEEDS_DEG_PER_S, Clips
from evface_edge.results.drawing import event_image

#: An error beyond it is drawn at the upper edge.
_TOP_PERCENT = 30.0
_SHOWN_US = 30_000
_TILE_PX, _TEXT_PX = 192, 20
_COLOURS = {"ours": "#2a9d8f", "even": "#c9ccd3", "peer": "#e07a3f"}
_SPEED_NAMES = [f"{low:g}–{high:g}" for low, high in SPEEDS_DEG_PER_S]
_LIGHT_NAMES = [f"{low:g}–{high:g} lux" for low, high in LIGHTS_LUX]


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False, sharey=True)[0])


def _png(figure: Any) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    return data.getvalue()


def curves(report: Mapping[str, Any]) -> bytes:
    """Median error over speed, a panel for each light; no face counts as infinite."""
    error = report["headline"]["error"]
    figure, panels = _figure(13, 4.2, len(LIGHTS_LUX))
    handles: dict[str, Any] = {}
    for light, axes in enumerate(panels):
        entries = [cell for cell in report["cells"][error] if cell["light"] == light]
        for name, style in report["headline"]["drawn"].items():
            values = [_median(entry["of"].get(name)) for entry in entries]
            drawn = [min(value, _TOP_PERCENT) for value in values]
            (line,) = axes.plot(range(len(values)), drawn, label=name, **style)
            handles[name] = line
            beyond = [at for at, value in enumerate(values) if value > _TOP_PERCENT]
            axes.plot(beyond, [_TOP_PERCENT] * len(beyond), "x", color=line.get_color(), ms=9)
        axes.set_title(_LIGHT_NAMES[light])
        axes.set_xticks(range(len(_SPEED_NAMES)), _SPEED_NAMES)
        axes.set_xlabel("speed of the head, °/s")
        axes.set_yscale("log")
        ticks = [2, 3, 5, 10, 20, _TOP_PERCENT]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(2, _TOP_PERCENT * 1.08)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(
        f"median {_error_name(error)}, %\n(×: beyond {_TOP_PERCENT:g}, or no face)"
    )
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=3, fontsize=9
    )
    return _png(figure)


def _median(found: Mapping[str, Any] | None) -> float:
    if found is None or not found["clips"]:
        return float("nan")
    value = found["median_percent"]
    return float("inf") if value is None else float(value)


def _error_name(error: str) -> str:
    return {"nme51": "NME of 51 points", "nme5": "NME of 5 points"}[error]


def board(report: Mapping[str, Any]) -> bytes:
    """Light × speed: who is better, and by how much; the best peer of every bin."""
    figure, panels = _figure(12, 5.6, len(report["overtakes"]))
    for axes, (against, entries) in zip(panels, report["overtakes"].items(), strict=True):
        for entry in entries:
            if "better" not in entry:
                continue
            x, y = entry["speed"], entry["light"]
            axes.add_patch(_square(x, y, _COLOURS[entry["better"]]))
            ours, theirs = (_cell_text(entry[who]) for who in ("ours", "theirs"))
            axes.text(x, y + 0.2, f"{ours}\n{theirs}", ha="center", va="center", fontsize=10)
            peer = entry["peer"].replace(" → ", "\n→ ")
            axes.text(x, y - 0.25, peer, ha="center", va="center", fontsize=7.5)
        axes.set(xlim=(-0.5, 3.5), ylim=(-0.5, 3.5), xlabel="speed of the head, °/s")
        axes.set_xticks(range(len(_SPEED_NAMES)), _SPEED_NAMES)
        axes.set_yticks(range(len(_LIGHT_NAMES)), _LIGHT_NAMES)
        axes.set_title(f"against {against}", fontsize=11)
    error = _error_name(report["headline"]["error"])
    figure.suptitle(
        f"{report['headline']['ours']} (upper number) and the best peer of each square (lower): "
        f"median {error}, %\ngreen: ours better beyond chance in AUC@10, orange: the peer, grey: "
        "cannot be told apart",
        fontsize=11,
    )
    return _png(figure)


def _square(x: int, y: int, colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, color=colour, alpha=0.75, lw=0)


def _cell_text(found: Mapping[str, Any]) -> str:
    value = found["median_percent"]
    return "no face" if value is None else f"{value:.1f}"


def examples(clips: Clips, chosen: list[int], columns: Mapping[str, tuple[Any, Any]]) -> bytes:
    """One row for each clip, one column for each way: what it looked at, and its landmarks.

    Args:
        columns: name → (images (N, S, S[, 3]) or None for events, landmarks (N, P, 2)).
    """
    font = ImageFont.load_default(12)
    rows = []
    for index in chosen:
        tiles = []
        lux = clips.lux[index]
        light = f"{lux:.{0 if lux >= 10 else 1}f} lux, {clips.speed_deg_per_s[index]:.0f} °/s"
        for name, (images, landmarks) in columns.items():
            shown = _events(clips, index) if images is None else images[index]
            if shown.ndim == 2:
                shown = np.repeat(shown[..., None], 3, axis=-1)
            image = Image.fromarray(shown).resize((_TILE_PX * 4 // 3,) * 2)
            draw = ImageDraw.Draw(image)
            scale = image.width / clips.size.width
            found = landmarks[index]
            for points, colour in ((clips.points[index], (255, 255, 255)), (found, (255, 150, 0))):
                if np.isfinite(points).all():
                    for x, y in (points + 0.5) * scale:
                        draw.ellipse((x - 1.2, y - 1.2, x + 1.2, y + 1.2), fill=colour)
            tile = Image.new("RGB", (image.width + 4, image.height + 2 * _TEXT_PX), (11, 14, 20))
            tile.paste(image, (0, 2 * _TEXT_PX))
            said = name.replace(" → ", ", ")  # the font has no arrow
            if not np.isfinite(found).all():
                said = f"{said}: no face"
            text = ImageDraw.Draw(tile)
            text.text((4, 2), said, fill=(235, 238, 244), font=font)
            text.text((4, 2 + _TEXT_PX), light, fill=(160, 168, 180), font=font)
            tiles.append(np.asarray(tile))
        rows.append(np.concatenate(tiles, axis=1))
    data = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(data, "PNG")
    return data.getvalue()


def _events(clips: Clips, index: int) -> Any:
    """The newest events of a clip."""
    events = clips.events_of(index)
    start = np.searchsorted(events["t"], events["t"][-1] - _SHOWN_US)
    return event_image(events[start:], clips.size)
