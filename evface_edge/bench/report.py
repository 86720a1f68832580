"""A benchmark as tables: for a terminal, and for a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evface_edge.bench.stages import PERIOD_US, STAGES
from evface_edge.bench.table import figure, markdown_table, text_table

Maker = Callable[[Sequence[str], Sequence[Sequence[str]]], str]


def network_rows(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of the network alone, the fastest first."""
    heading = [
        "model",
        "on",
        "threads",
        "p10 ms",
        "p50",
        "p95",
        "p99",
        "jitter",
        "per s",
        "first ms",
        "peak MB",
        "net MB",
        "file MB",
        "mJ",
        "GOP/s",
        "of peak",
        "× fp32",
    ]
    done = [row for row in found["network"] if row["status"] == "ok"]
    cells = []
    for row in sorted(done, key=lambda row: row["fast_ms"]):
        fraction = row.get("fraction_of_peak")
        gain = speed_up(row, done)
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
                figure(row["peak_mb"], 0),
                figure(row["network_mb"], 0),
                f"{row['file_mb']:.2f}",
                figure(row["energy_mj"], 2),
                figure(row.get("gops"), 1),
                "–" if fraction is None else f"{fraction:.0%}",
                figure(gain),
            ]
        )
    return heading, cells


def speed_up(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float | None:
    """How many times faster than the float32 form of the same model at the same place."""
    family = row["model"].rpartition("-")[0]
    for other in rows:
        same = all(other[key] == row[key] for key in ("runtime", "device", "threads"))
        if same and other["precision"] == "fp32" and other["model"].rpartition("-")[0] == family:
            if row["threads"] > 1:
                return float(other["fast_ms"] / row["fast_ms"])
            # In turns, both at the same speed of the machine; without them there is no figure.
            known = None not in (other["ratio"], row["ratio"])
            return float(other["ratio"] / row["ratio"]) if known else None
    return None


def stage_rows(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heading and cells from events to landmarks."""
    heading = [
        "model",
        "on",
        "sensor",
        "Mev/s",
        "events",
        *STAGES,
        "all p10",
        "p50",
        "p95",
        "keeps up",
        "face",
    ]
    cells = []
    for row in _worked(found):
        cells.append(
            [
                row["model"],
                *_where(row),
                f"{row['window_events_p50']:,.0f}",
                *(f"{row[f'{stage}_p50_ms']:.2f}" for stage in STAGES),
                f"{row['fast_ms']:.2f}",
                f"{row['p50_ms']:.2f}",
                f"{row['p95_ms']:.2f}",
                f"{row['keeps_up_mev_per_s']:.1f}",
                f"{row['with_face'] / row['instants']:.0%}",
            ]
        )
    return heading, cells


def percentile_rows(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of every stage: p50, p95 and p99."""
    cells = []
    for row in _worked(found):
        stages = [
            " / ".join(f"{row[f'{stage}_p{fraction}_ms']:.2f}" for fraction in (50, 95, 99))
            for stage in STAGES
        ]
        total = " / ".join(f"{row[f'p{fraction}_ms']:.2f}" for fraction in (50, 95, 99))
        cells.append([row["model"], *_where(row), *stages, total])
    return ["model", "on", "sensor", "Mev/s", *STAGES, "all"], cells


def cpu_rows(found: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heading and cells of the processor's time for one result, and for one more event."""
    heading = ["model", "on", "sensor", "Mev/s", *STAGES, "all", "× real time", "ns an event more"]
    cells = []
    before: Mapping[str, Any] | None = None
    for row in _worked(found):
        further = marginal_ns(before, row) if before is not None else None
        stages = [f"{row[f'{stage}_cpu_p50_ms']:.2f}" for stage in STAGES]
        cpu, faster = f"{row['cpu_p50_ms']:.2f}", f"{1e-3 * PERIOD_US / row['cpu_p50_ms']:.1f}"
        cells.append([row["model"], *_where(row), *stages, cpu, faster, figure(further, 1)])
        before = row
    return heading, cells


def marginal_ns(slow: Mapping[str, Any], fast: Mapping[str, Any]) -> float | None:
    """Processor's time for each event that one rate has more than another, ns.

    That of the two stages that see events: the noise of the others would hide it. None where the
    two are not of the same case, or not in this order.
    """
    if any(slow[key] != fast[key] for key in ("model", "runtime", "device", "width", "height")):
        return None
    more = (fast["mev_per_s"] - slow["mev_per_s"]) * PERIOD_US  # events for each result
    if more <= 0:
        return None
    slow_ms, fast_ms = (
        row["window_cpu_p50_ms"] + row["representation_cpu_p50_ms"] for row in (slow, fast)
    )
    further: float = 1e6 * (fast_ms - slow_ms) / more
    return further


def _worked(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for row in found["end_to_end"] if row["status"] == "ok"]


def _where(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['runtime']} {row['device']}",
        f"{row['width']}×{row['height']}",
        f"{row['mev_per_s']:g}",
    ]


def left_out(found: Mapping[str, Any]) -> list[str]:
    """What was not measured, and why; the same reason once."""
    why: dict[str, list[str]] = {}
    for row in [*found["network"], *found["end_to_end"]]:
        if row["status"] == "absent":
            why.setdefault(f"{row['runtime']} {row['device']}: {row['reason']}", [])
        elif row["status"] == "failed":
            what = f"{row['runtime']} {row['device']} failed: {row['reason']}"
            why.setdefault(what, []).append(row["model"])
    return [
        f"{reason} ({', '.join(dict.fromkeys(models))})" if models else reason
        for reason, models in why.items()
    ]


def notes(found: Mapping[str, Any]) -> list[str]:
    """What is to be known to read the tables."""
    lines = []
    peak, settings = found["peak"], found["settings"]
    if peak is not None:
        lines.append(
            f"Measured peak of one core: {peak['fp32_gops']:.0f} GFLOP/s in float32, "
            f"{peak['int8_gops']:.0f} GOP/s in INT8; a multiply-add is two. “Of peak” is taken "
            "of the fastest tenth of the best round (p10); several threads are held against as "
            "many cores. “× fp32” of one thread is measured in turns of hundredths of a second."
        )
    lines.append(
        f"Batch 1, {settings['rounds']} rounds in turns, each case in a fresh process pinned to as "
        "many cores as it has threads. First: loading and the first inference. Peak MB: of the "
        "whole process; net MB: what loading and running the network added. Jitter: p99 - p50."
    )
    if settings.get("window_events") is not None:
        lines.append(f"End to end with {settings['window_events']:,} events at once at most.")
    rows = [row for row in found["network"] if row["status"] == "ok"]
    meters = {row["energy_of"] for row in rows} - {None}
    lines.append(
        f"Energy: {', '.join(sorted(meters))}, idle power included."
        if meters
        else "Energy: this machine tells none (no RAPL that may be read, no INA, no tegrastats)."
    )
    if any(row["disturbed"] for row in rows):
        lines.append(
            "* Other work took the cores: p50, p95 and p99 are longer than they would be; compare "
            "p10."
        )
    return lines


STAGE_NOTE = (
    "Events to landmarks in sensor pixels at 100 results a second, one face followed, one thread; "
    "medians of each stage in ms; “all” is their sum at each instant. The events are those of the "
    "recording that came along, enlarged to the sensor, thinned or repeated to the rate, from "
    "memory. “Events”: how many of them the network is shown at once. “Keeps up”: Mev/s that it "
    "works off on average, searching included. “Face”: instants with a face."
)


CPU_NOTE = (
    "The processor's time for one result in all threads, medians in ms; other work on the machine "
    "disturbs it less. “× real time”: with 100 results a second. “ns an event more”: what each "
    "event costs, in window and representation, that this rate has more than the one above it."
)


def as_text(found: Mapping[str, Any]) -> str:
    """For a terminal."""
    return "\n\n".join(_parts(found, text_table, lambda items: "\n".join(items)))


def as_markdown(found: Mapping[str, Any]) -> str:
    """For a document."""
    bullets = "\n".join(f"- {key}: {value}" for key, value in found["machine"].items())
    parts = _parts(found, markdown_table, lambda items: "\n".join(f"- {item}" for item in items))
    return "\n\n".join(["### Machine", bullets, "### Network and end to end", *parts])


def _parts(
    found: Mapping[str, Any], table: Maker, listed: Callable[[Sequence[str]], str]
) -> list[str]:
    parts = []
    if any(row["status"] == "ok" for row in found["network"]):
        parts.append(table(*network_rows(found)))
    parts.append(listed(notes(found)))
    if any(row["status"] == "ok" for row in found["end_to_end"]):
        parts += [table(*stage_rows(found)), STAGE_NOTE]
        parts += ["p50 / p95 / p99 in ms:", table(*percentile_rows(found))]
        parts += [table(*cpu_rows(found)), CPU_NOTE]
    missing = left_out(found)
    if missing:
        parts += ["Not measured:", listed(missing)]
    return parts
