"""Tables of the comparison in Markdown, for a terminal and for docs/reference/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.peers.clips import LIGHTS_LUX, SPEEDS_DEG_PER_S
from benchmarks.peers.metrics import bin_name
from evface_edge.bench.output import number

_HEADING = [
    *("method", "input", "found %", "NME-51 %", "median", "AUC@10"),
    *("NME-5 %", "median", "AUC@10", "CPU ms"),
]


def markdown(report: Mapping[str, Any]) -> str:
    """Return all tables, what was left out, and where a peer is better."""
    rows = [
        [
            row["name"],
            row["source"],
            f"{row['found_percent']:.1f}",
            *_measures(row.get("nme51")),
            *_measures(row.get("nme5")),
            f"{row['cpu_ms']:.2f}",
        ]
        for row in report["rows"]
    ]
    parts = [markdown_table(_HEADING, rows)]
    for peers, entries in report["by_bin"].items():
        parts.append(f"{report['ours']} compared with {peers}, median NME-{report['error'][3:]}:")
        parts.append(_grid(entries))
        worse = [entry for entry in entries if entry.get("better") == "peer"]
        parts.append(
            "\n".join(_worse(entry) for entry in worse) or "- No peer is significantly better."
        )
    times = report["network_cpu_ms"]
    if times:
        first = next(iter(times.values()))
        cells = [[name, f"{ms:.3f}", f"{ms / first:.2f}"] for name, ms in times.items()]
        parts.append(markdown_table(["network alone", "CPU ms (p10)", "÷ first"], cells))
    parts += [f"- Left out: {name} ({reason})." for name, reason in report["left_out"].items()]
    return "\n\n".join(parts) + "\n"


def _measures(values: Mapping[str, Any] | None) -> list[str]:
    if values is None:
        return ["–"] * 3
    mean, low, high = values["mean_percent"]
    interval = "" if low is None else f" ({low:.2f}–{high:.2f})"
    return [
        number(mean) + interval,
        number(values["median_percent"]),
        number(values["auc10"][0], 3),
    ]


def _grid(entries: list[Mapping[str, Any]]) -> str:
    """Light × speed: medians of ours and of the best peer, and which one is better."""
    heading = ["light", *(f"{low:g}–{high:g} °/s" for low, high in SPEEDS_DEG_PER_S)]
    rows = [
        [f"{low:g}–{high:g} lux", *(_cell(entry) for entry in entries if entry["light"] == light)]
        for light, (low, high) in enumerate(LIGHTS_LUX)
    ]
    return markdown_table(heading, rows)


def _cell(entry: Mapping[str, Any]) -> str:
    if "better" not in entry:
        return "–"
    ours, theirs = (_percent(entry[key]["median_percent"]) for key in ("ours", "theirs"))
    better = {"ours": "events", "peer": entry["peer"], "even": "even"}[entry["better"]]
    return f"{ours} / {theirs}: {better}"


def _percent(value: float | None) -> str:
    return "no face" if value is None else f"{value:.1f} %"


def _worse(entry: Mapping[str, Any]) -> str:
    mean, low, high = entry["auc10_difference"]
    return (
        f"- {bin_name(entry)}: {entry['peer']} is better, AUC@10 {entry['theirs']['auc10'][0]:.3f} "
        f"compared with {entry['ours']['auc10'][0]:.3f} ({mean:+.3f}, {low:+.3f} to {high:+.3f})"
    )


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [list(heading), ["---", *["---:"] * (len(heading) - 1)], *(list(row) for row in rows)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines
    )
