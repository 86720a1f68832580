"""Tables of a benchmark for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evface_edge.bench.output import number, text_table
from evface_edge.bench.stages import PERIOD_US, STAGES

Table = tuple[list[str], list[list[str]]]

_STAGE_NOTE = (
    "Events to landmarks in sensor pixels at 100 results a second, one face, one thread; median of "
    "each stage in ms (more percentiles: end_to_end.csv); all: sum of the stages. The events are "
    "those of the demo recording, enlarged to the sensor and thinned out or repeated to the rate, "
    "in memory. events: events of one inference. max Mev/s: event rate that can be processed on "
    "average, including the search. face: results with a face."
)
_CPU_NOTE = (
    "CPU time of one result in all threads, median in ms; it depends less on other programs. "
    "× real time: at 100 results a second. ns per extra event: cost of each additional event in "
    "window and representation, compared with the rate in the row above."
)


def network_table(results: Mapping[str, Any]) -> Table:
    """Return heading and cells of the networks alone, the fastest first."""
    heading = [
        *("model", "on", "threads", "p10 ms", "p50", "p95", "p99", "jitter", "per s"),
        *("first ms", "peak MB", "net MB", "file MB", "mJ", "GOP/s", "of peak", "× fp32"),
    ]
    rows = _measured(results["network"])
    cells = []
    for row in sorted(rows, key=lambda row: row["fast_ms"]):
        fraction = row.get("fraction_of_peak")
        cells.append(
            [
                row["model"],
                f"{row['runtime']} {row['device']}",
                str(row["threads"]),
                f"{row['fast_ms']:.3f}",
                f"{row['p50_ms']:.3f}" + ("*" if row["disturbed"] else ""),
                f"{row['p95_ms']:.3f}",
                f"{row['p99_ms']:.3f}",
                f"{row['jitter_ms']:.3f}",
                f"{row['per_s']:.0f}",
                f"{row['load_ms'] + row['first_ms']:.0f}",
                number(row["peak_mb"], 0),
                number(row["network_mb"], 0),
                f"{row['file_mb']:.2f}",
                number(row["energy_mj"], 2),
                number(row.get("gops"), 1),
                "–" if fraction is None else f"{fraction:.0%}",
                number(speed_up(row, rows)),
            ]
        )
    return heading, cells


def speed_up(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Return how many times faster a row is than the float32 model on the same device."""

    def family(row: Mapping[str, Any]) -> list[Any]:
        name = row["model"].rpartition("-")[0]
        return [name, *(row[key] for key in ("runtime", "device", "threads"))]

    for other in rows:
        if other["precision"] == "fp32" and family(other) == family(row):
            if row["threads"] > 1:
                return float(other["fast_ms"] / row["fast_ms"])
            known = None not in (other["ratio"], row["ratio"])
            return float(other["ratio"] / row["ratio"]) if known else None
    return None


def stage_table(results: Mapping[str, Any]) -> Table:
    """Return heading and cells of events to landmarks."""
    heading = [
        *("model", "on", "sensor", "Mev/s", "events"),
        *STAGES,
        *("all p10", "p50", "p95", "max Mev/s", "face"),
    ]
    cells = [
        [
            *_setting(row),
            f"{row['window_events_p50']:,.0f}",
            *(f"{row[f'{stage}_p50_ms']:.2f}" for stage in STAGES),
            f"{row['fast_ms']:.2f}",
            f"{row['p50_ms']:.2f}",
            f"{row['p95_ms']:.2f}",
            f"{row['keeps_up_mev_per_s']:.1f}",
            f"{row['with_face'] / row['instants']:.0%}",
        ]
        for row in _measured(results["end_to_end"])
    ]
    return heading, cells


def cpu_table(results: Mapping[str, Any]) -> Table:
    """Return heading and cells of the CPU time of one result and of one additional event."""
    heading = ["model", "on", "sensor", "Mev/s", *STAGES, "all", "× real time"]
    cells = []
    before: Mapping[str, Any] | None = None
    for row in _measured(results["end_to_end"]):
        cells.append(
            [
                *_setting(row),
                *(f"{row[f'{stage}_cpu_p50_ms']:.2f}" for stage in STAGES),
                f"{row['cpu_p50_ms']:.2f}",
                f"{1e-3 * PERIOD_US / row['cpu_p50_ms']:.1f}",
                number(None if before is None else ns_per_event(before, row), 1),
            ]
        )
        before = row
    return [*heading, "ns per extra event"], cells


def ns_per_event(slow: Mapping[str, Any], fast: Mapping[str, Any]) -> float | None:
    """Return the CPU time in ns of each event that one rate has more than another.

    Only the two stages that process events are included; the others would add noise. None if the
    rows are of different cases or in another order.
    """
    if any(slow[key] != fast[key] for key in ("model", "runtime", "device", "width", "height")):
        return None
    more_events = (fast["mev_per_s"] - slow["mev_per_s"]) * PERIOD_US
    if more_events <= 0:
        return None
    slow_ms, fast_ms = (
        row["window_cpu_p50_ms"] + row["representation_cpu_p50_ms"] for row in (slow, fast)
    )
    return float(1e6 * (fast_ms - slow_ms) / more_events)


def _measured(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["status"] == "ok"]


def _setting(row: Mapping[str, Any]) -> list[str]:
    return [
        row["model"],
        f"{row['runtime']} {row['device']}",
        f"{row['width']}×{row['height']}",
        f"{row['mev_per_s']:g}",
    ]


def not_measured(results: Mapping[str, Any]) -> list[str]:
    """Return what was not measured and why; each reason once."""
    models: dict[str, list[str]] = {}
    for row in [*results["network"], *results["end_to_end"]]:
        place = f"{row['runtime']} {row['device']}"
        if row["status"] == "absent":
            models.setdefault(f"{place}: {row['reason']}", [])
        elif row["status"] == "failed":
            models.setdefault(f"{place} failed: {row['reason']}", []).append(row["model"])
    return [
        f"{reason} ({', '.join(dict.fromkeys(names))})" if names else reason
        for reason, names in models.items()
    ]


def notes(results: Mapping[str, Any]) -> list[str]:
    """Return explanations of the columns."""
    lines = []
    peak, settings = results["peak"], results["settings"]
    if peak is not None:
        lines.append(
            f"Measured peak of one core: {peak['fp32_gops']:.0f} GFLOP/s in float32, "
            f"{peak['int8_gops']:.0f} GOP/s in INT8; a multiply-add is two operations. of peak: "
            "at p10 of the best round; with several threads, of as many cores. × fp32: with one "
            "thread from interleaved measurements."
        )
    lines.append(
        f"Batch 1, {settings['rounds']} rounds, each case in a new process pinned to as many cores "
        "as it has threads. first: loading and first inference. peak MB: of the process; net MB: "
        "added by loading and running the network. jitter: p99 - p50."
    )
    if settings.get("window_events") is not None:
        lines.append(f"End to end with at most {settings['window_events']:,} events an inference.")
    rows = _measured(results["network"])
    meters = {row["energy_of"] for row in rows} - {None}
    lines.append(
        f"Energy: {', '.join(sorted(meters))}, including idle power."
        if meters
        else "Energy: no meter that this user may read (RAPL or INA3221)."
    )
    if any(row["disturbed"] for row in rows):
        lines.append("* Other programs used the cores: p50, p95 and p99 are too long; compare p10.")
    return lines


def as_text(results: Mapping[str, Any]) -> str:
    """Return the report for a terminal."""
    parts = ["\n".join(notes(results))]
    if _measured(results["network"]):
        parts.insert(0, text_table(*network_table(results)))
    if _measured(results["end_to_end"]):
        parts += [text_table(*stage_table(results)), _STAGE_NOTE]
        parts += [text_table(*cpu_table(results)), _CPU_NOTE]
    missing = not_measured(results)
    if missing:
        parts += ["Not measured:", "\n".join(missing)]
    return "\n\n".join(parts)
