"""Results of an ablation study as a table and a plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.errors import RuntimeUnavailable
from evface_training.ablation.measure import CLIP_SETS
from evface_training.ablation.plan import ROWS
from evface_training.checkpoint import write_whole


def write_report(stored: Mapping[str, Any], folder: Path) -> None:
    """Write `table.md` and `ablation.png` of the results so far."""
    write_whole(folder / "table.md", as_markdown(stored).encode())
    plot(stored, folder / "ablation.png")


def as_markdown(stored: Mapping[str, Any]) -> str:
    """Markdown: mean NME-98 in percent over seeds ± the largest deviation of a seed."""
    settings = stored["settings"]
    lines = [
        f"Size `{settings['size']}`, {settings['steps']:,} steps on labels, "
        f"{settings['pretraining_steps']:,} without; NME-98 in percent on "
        f"{settings['clips']} clips of validation identities for each set; mean over seeds "
        "± the largest deviation.",
        "",
    ]
    columns = [*CLIP_SETS, *(f"{name}, events alone" for name in CLIP_SETS)]
    for heading, rows in ROWS.items():
        done = [row for row in rows if stored["rows"].get(row)]
        if not done:
            continue
        used = [c for c in columns if any(_values(stored, row, c) for row in done)]
        lines += [
            f"| {heading} | seeds | {' | '.join(used)} | M parameters | GFLOP | ms |",
            "|---" + "|---:" * (len(used) + 4) + "|",
        ]
        for row in done:
            cells = [_cell(_values(stored, row, column)) for column in used]
            cost = stored["costs"][row]
            lines.append(
                f"| {row} | {len(stored['rows'][row])} | {' | '.join(cells)} "
                f"| {cost['parameters'] * 1e-6:.2f} | {cost['flops'] * 1e-9:.2f} "
                f"| {cost['ms']:.1f} |"
            )
        lines.append("")
    return "\n".join(lines)


def _values(stored: Mapping[str, Any], row: str, column: str) -> list[float]:
    return [seed[column] for seed in stored["rows"].get(row, {}).values() if column in seed]


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    mean = float(np.mean(values))
    spread = float(np.abs(np.array(values) - mean).max())
    return f"{mean:.2f} ± {spread:.2f}" if len(values) > 1 else f"{mean:.2f}"


def plot(stored: Mapping[str, Any], path: Path) -> None:
    """Error of every row on each set of clips; each seed is a dot.

    Raises:
        RuntimeUnavailable: no matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeUnavailable(
            f"the plot needs matplotlib ({error})", fix="pip install 'evface-edge[train]'"
        ) from error
    rows = [row for rows in ROWS.values() for row in rows if stored["rows"].get(row)]
    if not rows:
        return
    figure = Figure(figsize=(9, 1.2 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots(1, len(CLIP_SETS), sharey=True, squeeze=False)[0]
    places = np.arange(len(rows))[::-1]
    for one, name in zip(axes, CLIP_SETS, strict=True):
        for place, row in zip(places, rows, strict=True):
            values = _values(stored, row, name)
            one.barh(place, np.mean(values), color="#4c78a8", alpha=0.5, height=0.7)
            one.plot(values, [place] * len(values), "o", color="#222222", markersize=3)
        one.set(title=name, xlabel="NME-98, %", yticks=places, yticklabels=rows)
        one.grid(axis="x", alpha=0.3)
    partial = path.with_name(path.stem + ".partial.png")
    figure.savefig(partial, dpi=120)
    partial.replace(path)
