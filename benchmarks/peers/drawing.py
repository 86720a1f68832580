"""Figures of docs/reference/benchmarks.md, drawn from the report."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from benchmarks.peers.clips import LIGHTS_LUX, SPEEDS_DEG_PER_S

#: Larger errors are drawn at the upper edge.
_TOP_PERCENT = 30.0
_COLOURS = {"ours": "#2a9d8f", "even": "#c9ccd3", "peer": "#e07a3f"}
_SPEED_NAMES = [f"{low:g}–{high:g}" for low, high in SPEEDS_DEG_PER_S]
_LIGHT_NAMES = [f"{low:g}–{high:g} lux" for low, high in LIGHTS_LUX]
#: Style of each method among the curves.
_STYLES: dict[str, dict[str, Any]] = {
    "evface-s-int8, followed": {"color": "#2a9d8f", "lw": 2.6, "marker": "o"},
    "evface-s-int8, searched": {"color": "#2a9d8f", "lw": 1.2, "ls": ":", "marker": "o"},
    "RGB → MediaPipe": {"color": "#d1495b", "lw": 2, "marker": "s"},
    "RGB stretched → MediaPipe": {"color": "#e07a3f", "lw": 1.6, "marker": "s", "ls": "--"},
    "summed 100 ms → MediaPipe": {"color": "#7a7f8c", "lw": 1.2, "marker": "^", "ls": "-."},
    "PIE-Net → MediaPipe": {"color": "#4361a8", "lw": 1.4, "marker": "v", "ls": "-."},
}


def _axes(width: float, height: float, columns: int) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False, sharey=True)[0])


def _png(figure: Any) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    return data.getvalue()


def curves(report: Mapping[str, Any]) -> bytes:
    """Plot the median error over speed, one panel for each light."""
    figure, panels = _axes(13, 4.2, len(LIGHTS_LUX))
    names = [row["name"] for row in report["rows"]]
    lines: dict[str, Any] = {}
    for light, axes in enumerate(panels):
        entries = [cell for cell in report["cells"][report["error"]] if cell["light"] == light]
        for name in [name for name in names if name in _STYLES or len(names) <= len(_STYLES)]:
            values = [_median(entry["of"].get(name)) for entry in entries]
            drawn = [min(value, _TOP_PERCENT) for value in values]
            style = _STYLES.get(name, {})
            (lines[name],) = axes.plot(range(len(values)), drawn, label=name, **style)
            beyond = [index for index, value in enumerate(values) if value > _TOP_PERCENT]
            colour = lines[name].get_color()
            axes.plot(beyond, [_TOP_PERCENT] * len(beyond), "x", color=colour, ms=9)
        axes.set(title=_LIGHT_NAMES[light], xlabel="speed of the head, °/s", yscale="log")
        axes.set_xticks(range(len(_SPEED_NAMES)), _SPEED_NAMES)
        ticks = [2, 3, 5, 10, 20, _TOP_PERCENT]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(2, _TOP_PERCENT * 1.08)
        axes.grid(alpha=0.3)
    label = f"median NME-{report['error'][3:]}, %\n(×: beyond {_TOP_PERCENT:g}, or no face)"
    panels[0].set_ylabel(label)
    figure.legend(
        list(lines.values()), list(lines), loc="outside lower center", ncols=3, fontsize=9
    )
    return _png(figure)


def _median(values: Mapping[str, Any] | None) -> float:
    if values is None or not values["clips"]:
        return float("nan")
    median = values["median_percent"]
    return float("inf") if median is None else float(median)


def board(report: Mapping[str, Any]) -> bytes:
    """Draw light × speed: ours and the best peer of each bin, and which one is better."""
    from matplotlib.patches import Rectangle

    figure, panels = _axes(12, 5.6, len(report["by_bin"]))
    for axes, (peers, entries) in zip(panels, report["by_bin"].items(), strict=True):
        for entry in [entry for entry in entries if "better" in entry]:
            x, y, colour = entry["speed"], entry["light"], _COLOURS[entry["better"]]
            corner = (x - 0.48, y - 0.48)
            axes.add_patch(Rectangle(corner, 0.96, 0.96, color=colour, alpha=0.75, lw=0))
            ours, theirs = (_text(entry[key]["median_percent"]) for key in ("ours", "theirs"))
            axes.text(x, y + 0.2, f"{ours}\n{theirs}", ha="center", va="center", fontsize=10)
            peer = entry["peer"].replace(" → ", "\n→ ")
            axes.text(x, y - 0.25, peer, ha="center", va="center", fontsize=7.5)
        axes.set(xlim=(-0.5, 3.5), ylim=(-0.5, 3.5), xlabel="speed of the head, °/s")
        axes.set_xticks(range(len(_SPEED_NAMES)), _SPEED_NAMES)
        axes.set_yticks(range(len(_LIGHT_NAMES)), _LIGHT_NAMES)
        axes.set_title(f"compared with {peers}", fontsize=11)
    figure.suptitle(
        f"{report['ours']} (upper number) and the best peer of each bin (lower): median "
        f"NME-{report['error'][3:]}, %\n"
        "green: ours is better in AUC@10, orange: the peer, grey: no significant difference",
        fontsize=11,
    )
    return _png(figure)


def _text(value: float | None) -> str:
    return "no face" if value is None else f"{value:.1f}"
