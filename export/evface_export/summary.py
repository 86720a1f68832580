"""The results of an export: one row for each target, with its speed on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import evface_runtimes
from evface_edge.bench.latency import Latency, measure, pinned
from evface_edge.bench.peak import Peak, measure_peak
from evface_export.conversion import Conversion
from evface_export.parity import runtime_run, torch_run
from evface_export.pipeline import Exported
from evface_export.targets import Target
from evface_export.text_table import text_table

#: Clips that runtimes are compared on with each other.
_AGREEMENT_CLIPS = 256


@dataclass(frozen=True)
class Row:
    """The result of one target.

    Attributes:
        reason: why it was refused; empty if an artefact was written.
        note: such as that no engine was built.
    """

    target: Target
    exported: Exported | None = None
    reason: str = ""
    note: str = ""


@dataclass(frozen=True)
class Speed:
    """Latencies of artefacts on one core, in one run.

    Attributes:
        core: the one they were pinned to; None if the system cannot pin.
        latencies: name of the target → latency at batch 1.
    """

    core: int | None
    peak: Peak
    latencies: dict[str, Latency] = field(default_factory=dict)

    def __str__(self) -> str:
        core = "" if self.core is None else f" ({self.core})"
        text = (
            f"one core{core}, batch 1; its measured peak: {self.peak.fp32_gops:.0f} GFLOP/s in "
            f"float32, {self.peak.int8_gops:.0f} GOP/s in INT8; × fp32 and fraction of peak "
            "are taken of the fastest tenth (p10)"
        )
        if any(latency.disturbed for latency in self.latencies.values()):
            text += "; other programs ran on this core, so p50 and p99 are too long"
        return text


def measure_speed(conversion: Conversion, rows: Sequence[Row], *, seconds: float = 1.0) -> Speed:
    """Latency of the artefacts on the same clip and core, in turns, and the peak of the core.

    Artefacts for TensorRT are left out: they run on another device.
    """
    clip = next(conversion.calibration.batches(conversion.reference.indices[:1]))
    entry = {conversion.card.inputs[0].name: clip}
    with pinned() as core:
        runtimes = {row.target.name: _load(row.exported) for row in rows if _runs_here(row)}
        try:
            calls = {
                name: lambda runtime=runtime: runtime.run(entry)
                for name, runtime in runtimes.items()
            }
            latencies = measure(calls, seconds=seconds) if calls else {}
            return Speed(core, measure_peak(seconds / 2), latencies)
        finally:
            for runtime in runtimes.values():
                runtime.close()


def agreement(conversion: Conversion, rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Mean distance of landmarks between any two artefacts, and torch, on the same clips, px.

    Artefacts for TensorRT run on ONNX Runtime.
    """
    reference = conversion.reference.first(_AGREEMENT_CLIPS)
    height, width = conversion.card.inputs[0].shape[-2:]
    scale = np.array([width, height], np.float32)

    def landmarks(run: Any) -> NDArray[np.float32]:
        parts = [run(batch)["landmarks"] for batch in reference.clips.batches(reference.indices)]
        points: NDArray[np.float32] = np.concatenate(parts)[reference.scored] * scale
        return points

    found = {"torch": landmarks(torch_run(conversion.network, conversion.card))}
    for row in rows:
        if row.exported is not None:
            with _load(row.exported) as runtime:
                found[row.target.name] = landmarks(runtime_run(runtime, conversion.card))
    return {
        one: {
            other: float(np.linalg.norm(found[one] - found[other], axis=-1).mean())
            for other in found
        }
        for one in found
    }


def rows_table(rows: Sequence[Row], speed: Speed | None, mega_macs: float) -> str:
    """A Markdown table with one row for each target."""
    heading = [
        "target",
        "written",
        "MB",
        "max diff",
        "mean px",
        "p99 px",
        "NME fp32 → artefact",
        "loss",
        "p10 ms",
        "p50 ms",
        "p99 ms",
        "× fp32",
        "of peak",
    ]
    return text_table(heading, [_cells(row, speed, mega_macs) for row in rows])


def agreement_table(distances: dict[str, dict[str, float]]) -> str:
    """The matrix of `agreement`."""
    names = list(distances)
    rows = [[one, *(f"{distances[one][other]:.3f}" for other in names)] for one in names]
    return text_table(["mean px", *names], rows)


def as_dict(row: Row, speed: Speed | None, mega_macs: float) -> dict[str, Any]:
    """A row for JSON, without the values that were not measured."""
    values: dict[str, Any] = {
        "target": row.target.name,
        "written": row.exported is not None,
        "reason": row.reason,
        "note": row.note,
    }
    done = row.exported
    if done is None:
        return values
    values |= {
        "path": str(done.path),
        "bytes": done.size_bytes,
        "trained": done.trained,
        "clips": done.parity.clips,
        "faces": done.parity.faces,
        "difference": {
            name: {"max": largest, "mean": mean}
            for name, (largest, mean) in done.parity.difference.items()
        },
        "mean_px": done.parity.mean_px,
        "p99_px": done.parity.p99_px,
        "nme_fp32": done.parity.nme_checkpoint,
        "nme": done.parity.nme_artefact,
        "nme_loss": done.parity.nme_loss,
        "presence_flips": done.parity.presence_flips,
    }
    latency = speed.latencies.get(row.target.name) if speed is not None else None
    if speed is not None and latency is not None:
        values |= {
            "fast_ms": latency.fast_ms,
            "p50_ms": latency.p50_ms,
            "p95_ms": latency.p95_ms,
            "p99_ms": latency.p99_ms,
            "fraction_of_peak": speed.peak.fraction(
                mega_macs, latency.fast_ms, row.target.precision
            ),
            "speed_up": _speed_up(row.target, speed),
        }
    return values


def _cells(row: Row, speed: Speed | None, mega_macs: float) -> list[str]:
    done = row.exported
    if done is None:
        return [row.target.name, "no", *["–"] * 11]
    parity = done.parity
    largest, _ = parity.difference["landmarks"]
    cells = [
        row.target.name,
        "trained" if done.trained else "yes",
        f"{done.size_bytes / 1e6:.2f}",
        f"{largest:.2g}",
        f"{parity.mean_px:.3f}",
        f"{parity.p99_px:.3f}",
        f"{parity.nme_checkpoint:.3%} → {parity.nme_artefact:.3%}",
        f"{parity.nme_loss:+.2%}",
    ]
    latency = speed.latencies.get(row.target.name) if speed is not None else None
    if speed is None or latency is None:
        return [*cells, *["–"] * 5]
    gain = _speed_up(row.target, speed)
    return [
        *cells,
        f"{latency.fast_ms:.3f}",
        f"{latency.p50_ms:.3f}",
        f"{latency.p99_ms:.3f}",
        "–" if gain is None else f"{gain:.2f}",
        f"{speed.peak.fraction(mega_macs, latency.fast_ms, row.target.precision):.0%}",
    ]


def _speed_up(target: Target, speed: Speed) -> float | None:
    """Speed relative to float32 on the same runtime."""
    float32 = speed.latencies.get(f"{target.name.rpartition('-')[0]}-fp32")
    if float32 is None:
        return None
    return float32.fast_ms / speed.latencies[target.name].fast_ms


def _runs_here(row: Row) -> bool:
    return row.exported is not None and not row.target.for_tensorrt


def _load(exported: Exported | None) -> Any:
    if exported is None:
        raise ValueError("nothing was written")
    return evface_runtimes.load(
        exported.path, runtime=exported.target.runtime, device="cpu", threads=1
    )
