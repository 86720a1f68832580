"""Students of an ablation study: error in float32 and INT8, and latency.

    evface-edge ablate --faces faces -o runs/ablation --row student --row 'student, heatmap' …
    python -m benchmarks students runs/ablation --faces faces -o students.json

Quantises the students of the first seed as `evface-edge export` does, with clips of training faces
in their own representation, and evaluates both forms on the clip sets of the ablation. Latencies
are medians on one thread, measured in turns: of ONNX Runtime, and of the representation for 20,000
events of a face.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from benchmarks.ablation_results import AblationResults, load_results, parser_for, write_json
from evface_edge.events import make_events
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box
from evface_export.graph import expected_warnings, to_onnx
from evface_export.quantize import quantize
from evface_training.ablation.measure import draw_clip_sets, load_landmark_network
from evface_training.ablation.plan import ROWS
from evface_training.clip_maker import draw_clips
from evface_training.recipe import TrainRecipe
from evface_training.trainer.validation import validate_student

OUTPUTS = ("landmarks", "log_sigma", "presence")
CANDIDATES = ("student", *ROWS["Head and representation"])
CALIBRATION_CLIPS, TURNS, WARMUP_TURNS = 256, 200, 5


@dataclass(frozen=True)
class Candidate:
    """One student.

    Attributes:
        errors: "float32" and "int8" → set of clips → NME-98 in percent.
        models: "float32" and "int8" → ONNX model.
    """

    name: str
    errors: dict[str, dict[str, float]]
    models: dict[str, bytes]
    recipe: TrainRecipe


def main() -> None:
    options = parser_for(__doc__).parse_args()
    torch.set_num_threads(1)
    ablation = load_results(options)
    candidates = [
        candidate(name, ablation, options.clips)
        for name in CANDIDATES
        if name in ablation.rows and ablation.checkpoint(name)
    ]
    if not candidates:
        raise SystemExit(f"{options.folder}: no student among its rows; see --help")
    latencies = latencies_ms(candidates)
    rows = [
        {"student": one.name, "nme98_percent": one.errors, "latency_ms": latencies[one.name]}
        for one in candidates
    ]
    write_json({"settings": dict(ablation.settings), "rows": rows}, options)


def candidate(name: str, ablation: AblationResults, clips: int) -> Candidate:
    """A trained student of the first seed, quantised and evaluated."""
    checkpoint, recipe = ablation.checkpoint(name), ablation.plan[name].recipe
    assert checkpoint is not None
    network = load_landmark_network(checkpoint, "landmarks").eval()
    calibration = draw_clips(ablation.training, recipe, CALIBRATION_CLIPS, seed=7).inputs.float()
    example = torch.zeros(2, *calibration.shape[1:])
    with expected_warnings():
        quantized = _Traced(quantize(network, example, torch.split(calibration, 32)))
    clip_sets = draw_clip_sets(ablation.validation, recipe, clips)
    errors = {
        precision: {
            name: validate_student(form, drawn)["nme98_percent"]  # type: ignore[arg-type]
            for name, drawn in clip_sets.items()
        }
        for precision, form in (("float32", network), ("int8", quantized))
    }
    models = {
        precision: to_onnx(form, example, "events", OUTPUTS)
        for precision, form in (("float32", network), ("int8", quantized.graph))
    }
    return Candidate(name, errors, models, recipe)


class _Traced(nn.Module):
    """A traced graph with the eval mode and the device that `validate_student` needs."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.graph = graph
        self.on_device = nn.Parameter(torch.zeros(1))

    def eval(self) -> _Traced:
        return self

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.graph(inputs.float())
        return outputs


def latencies_ms(candidates: list[Candidate]) -> dict[str, dict[str, float]]:
    """Student → "float32", "int8" and "representation" → median latency."""
    runs: dict[tuple[str, str], Callable[[], object]] = {}
    events, box = _events()
    for one in candidates:
        side, representation = one.recipe.side, one.recipe.event_representation
        for precision, model in one.models.items():
            runs[one.name, precision] = _inference(model)
        runs[one.name, "representation"] = partial(representation.crop, events, box, (side, side))
    times: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    for _ in range(WARMUP_TURNS + TURNS):
        for key, run in runs.items():
            start = time.perf_counter()
            run()
            times[key].append(1e3 * (time.perf_counter() - start))
    medians: dict[str, dict[str, float]] = {one.name: {} for one in candidates}
    for (name, part), values in times.items():
        medians[name][part] = statistics.median(values[WARMUP_TURNS:])
    return medians


def _inference(model: bytes) -> Callable[[], object]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    spec = session.get_inputs()[0]
    random = np.random.default_rng(0)
    shape = (1, *spec.shape[1:])
    values = (random.random(shape) * (random.random(shape) < 0.2)).astype(np.float32)
    return lambda: session.run(None, {spec.name: values})


def _events() -> tuple[EventArray, Box]:
    """20,000 events in 20 ms of a face of 200 pixels."""
    random = np.random.default_rng(0)
    x, y = (np.clip(random.normal(100, 40, 20_000), 0, 199).astype(int) for _ in range(2))
    t = np.sort(random.integers(0, 20_000, 20_000))
    return make_events(t=t, x=x, y=y, p=random.integers(0, 2, 20_000)), Box(0, 0, 200, 200)


if __name__ == "__main__":
    main()
