"""Run models on several processors and compare landmarks with the native float32 model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.emulation.inputs import demo_inputs, detector_grid
from benchmarks.emulation.processors import Processor, native
from evface_edge import DEMO_RECORDING, SensorSize, read_events
from evface_edge.card import ModelCard
from evface_edge.card_file import read_card
from evface_edge.models import FOLDER, find_model
from evface_edge.tracking.peaks import find_peaks
from evface_runtimes.files import SUFFIXES, recognise
from evface_runtimes.table import RUNTIMES

#: The demo: its first part, long enough to find the face and follow it.
DEMO_US, DEMO_AT_US = 160_000, (100_000, 120_000, 140_000, 160_000)
DEMO_MODEL = "evface-s"


@dataclass(frozen=True)
class Row:
    """Landmarks of one model on one processor.

    Attributes:
        mean_px, p99_px, max_px: distance from the float32 model on this processor's host, pixels
            of the network's input; for the face detector distance of the middle of the best
            square from exact arithmetic, pixels of the sensor; None if it did not run.
        native_max_px: largest distance from the same model and runtime without emulation.
        error: why it did not run.
    """

    processor: str
    instructions: str
    runtime: str
    model: str
    version: str
    mean_px: float | None
    p99_px: float | None
    max_px: float | None
    native_max_px: float | None
    error: str = ""


@dataclass(frozen=True)
class Run:
    """One model in one runtime."""

    key: str
    path: Path
    runtime: str
    card: ModelCard

    @property
    def name(self) -> str:
        """Name of the model with its precision."""
        return f"{self.card.name}-{self.card.precision}"

    @property
    def is_detector(self) -> bool:
        """Whether it is a face detector."""
        return "landmarks" not in {spec.name for spec in self.card.outputs}


def bundled_files() -> list[Path]:
    """All files of networks in the package, also the face detector."""
    suffixes = {suffix for ends in SUFFIXES.values() for suffix in ends}
    return sorted(path for path in FOLDER.rglob("*") if path.suffix in suffixes)


def runs_of(models: Iterable[Path], runtimes: Sequence[str] = ()) -> list[Run]:
    """Each model in each runtime that reads it on the CPU; checkpoints and engines are left out.

    Args:
        runtimes: names; by default all.
    """
    runs = []
    for index, path in enumerate(models):
        kind = recognise(path)
        for spec in RUNTIMES:
            if kind in spec.kinds and "cpu" in spec.devices and kind != "checkpoint":
                if runtimes and spec.name not in runtimes:
                    continue
                runs.append(Run(f"{index} {spec.name}", path, spec.name, read_card(path)))
    return runs


def compare(
    runs: Sequence[Run], processors: Sequence[Processor], *, windows: int, demo: bool
) -> tuple[list[Row], dict[str, Any]]:
    """One row for each processor and run, and what each processor reports about itself."""
    inputs = {run.card.name: demo_inputs(run.path, windows) for run in runs}
    references = {run.key: _reference(run, inputs[run.card.name]) for run in runs}
    rows: list[Row] = []
    reports: dict[str, Any] = {}
    expected: dict[str, NDArray[np.float32]] = {}
    for processor in (native(), *processors):
        outputs, report = _run(processor, runs, inputs, demo)
        reports[processor.name] = report
        for run in runs:
            error = report["errors"].get(run.key, "")
            found = None if error else _positions(run, outputs)
            if processor.name == "native" and found is not None:
                expected[run.key] = found
            names = (run.runtime, run.name, run.card.version)
            rows.append(
                _row(processor, names, found, references[run.key], expected.get(run.key), error)
            )
        if demo:
            found = outputs["demo"]
            expected.setdefault("demo", found)
            names = ("Predictor", "demo", "")
            rows.append(_row(processor, names, found, _demo_reference(), expected["demo"], ""))
    return rows, reports


def _run(
    processor: Processor,
    runs: Sequence[Run],
    inputs: dict[str, NDArray[np.float32]],
    demo: bool,
) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    job = {
        "runs": [
            {
                "key": run.key,
                "path": str(run.path.resolve()),
                "runtime": run.runtime,
                "inputs": run.card.name,
            }
            for run in runs
        ],
        "demo": {"model": DEMO_MODEL, "duration_us": DEMO_US, "at_us": DEMO_AT_US}
        if demo
        else None,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job))
        np.savez(folder / "inputs.npz", **inputs)
        processor.run(folder)
        with np.load(folder / "outputs.npz") as file:
            outputs = dict(file)
        return outputs, json.loads((folder / "report.json").read_text())


def _reference(run: Run, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Positions by the float32 model; for a face detector by exact arithmetic."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = find_model(f"{run.card.name}-fp32") if not run.is_detector else run.path
    if run.is_detector:
        # Without optimisations, QuantizeLinear and DequantizeLinear run as they are, in float32.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [spec.name for spec in run.card.outputs]
    results = [session.run(names, {session.get_inputs()[0].name: one[None]}) for one in inputs]
    arrays = [np.concatenate(values) for values in zip(*results, strict=True)]
    outputs = {f"{run.key} {name}": array for name, array in zip(names, arrays, strict=True)}
    return _positions(run, outputs)


def _positions(run: Run, outputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """(N, 2) pixels: the landmarks, or the middle of the detector's best square."""
    if not run.is_detector:
        side = run.card.inputs[0].shape[-1]
        return outputs[f"{run.key} landmarks"].reshape(-1, 2) * side
    heat, place = outputs[f"{run.key} heat"], outputs[f"{run.key} place"]
    stride = run.card.inputs[0].shape[-1] // heat.shape[-1]
    cell_px = detector_grid(run.path, _demo_size()).pixels_per_cell
    peaks = [find_peaks(heat[i, 0], place[i], stride, count=1)[0] for i in range(len(heat))]
    return np.array([(peak.x, peak.y) for peak in peaks], np.float32) * cell_px


def _demo_size() -> SensorSize:
    return read_events(DEMO_RECORDING)[1]


def _demo_reference() -> NDArray[np.float32]:
    from benchmarks.emulation.worker import demo

    return demo(f"{DEMO_MODEL}-fp32", DEMO_US, DEMO_AT_US)


def _row(
    processor: Processor,
    names: tuple[str, str, str],
    found: NDArray[np.float32] | None,
    reference: NDArray[np.float32],
    expected: NDArray[np.float32] | None,
    error: str,
) -> Row:
    runtime, model, version = names
    mean = p99 = largest = from_native = None
    if found is not None:
        distances = np.linalg.norm(found - reference, axis=-1)
        mean, p99 = float(distances.mean()), float(np.percentile(distances, 99))
        largest = float(distances.max())
        if expected is not None:
            from_native = float(np.linalg.norm(found - expected, axis=-1).max())
    return Row(
        processor.name,
        processor.instructions,
        runtime,
        model,
        version,
        mean,
        p99,
        largest,
        from_native,
        error,
    )


def as_text(rows: Sequence[Row]) -> str:
    """A table, one line for each row."""
    columns = ("processor", "instructions", "runtime", "model", "version")
    numbers = ("mean_px", "p99_px", "max_px", "native_max_px")
    lines = [[*columns, *numbers]]
    for row in rows:
        values = [
            "–" if getattr(row, name) is None else f"{getattr(row, name):.4f}" for name in numbers
        ]
        lines.append([*(getattr(row, name) for name in columns), *values])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = "\n".join(
        "  ".join(
            cell.ljust(width) if i < len(columns) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
    errors = sorted({f"{row.model}, {row.runtime}: {row.error}" for row in rows if row.error})
    return "\n".join([text, *errors])


def as_report(rows: Sequence[Row], reports: dict[str, Any], windows: int) -> dict[str, Any]:
    """The report as JSON."""
    return {"windows": windows, "rows": [asdict(row) for row in rows], "processors": reports}
