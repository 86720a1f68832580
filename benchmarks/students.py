"""Heads and representations of the student: error in float32 and INT8, and milliseconds.

    evface-edge ablate --faces faces -o runs/ablation --row student --row 'student, heatmap' …
    python -m benchmarks students runs/ablation --faces faces -o students.md

Takes the students that `evface-edge ablate` has trained, the first seed of each, quantises them as
`evface-edge export` does, with clips of training faces in their own representation, and judges both
forms on the same moments of validation identities. Milliseconds are those of ONNX Runtime on one
thread, medians of turns in which all models take part, and those of the representation: 20,000
events of a face into the crop.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from evface_edge.events import make_events
from evface_edge.events.array import EventArray
from evface_edge.geometry import Box
from evface_edge.representation import Representation
from evface_export.graph import expected_warnings, to_onnx
from evface_export.quantize import quantize
from evface_training.ablation.measure import MOMENTS, draw_moments, load_network
from evface_training.ablation.plan import ROWS
from evface_training.ablation.results import finished, options_of, put
from evface_training.clip_maker import draw_clips
from evface_training.data.faces import FaceSet
from evface_training.recipe import TrainRecipe
from evface_training.trainer.validation import validate_student

OUTPUTS = ("landmarks", "log_sigma", "presence")
CANDIDATES = ("student", *ROWS["Head and representation"])
CALIBRATION_CLIPS, TURNS = 256, 200


@dataclass(frozen=True)
class Candidate:
    """One student: errors are NME-98 in percent, of each moment."""

    name: str
    float_error: Mapping[str, float]
    int8_error: Mapping[str, float]
    models: tuple[bytes, bytes]
    representation: Representation
    side: int


def main() -> None:
    options = options_of(__doc__).parse_args()
    torch.set_num_threads(1)
    ablation = finished(options)
    plan, candidates = ablation.plan, []
    for name in CANDIDATES:
        checkpoint = ablation.checkpoint(name)
        if name in ablation.rows and checkpoint:
            network, recipe = load_network(checkpoint, "landmarks").eval(), plan[name].recipe
            faces = ablation.training, ablation.judging
            candidates.append(_candidate(name, network, recipe, *faces, options.clips))
            print(f"{name}: judged", flush=True)  # noqa: T201
    if not candidates:
        raise SystemExit(f"{options.folder}: no student among its rows; see --help")
    put(as_table(candidates, _milliseconds(candidates), ablation.settings["steps"]), options)


def _candidate(
    name: str,
    network: nn.Module,
    recipe: TrainRecipe,
    training: FaceSet,
    validation: FaceSet,
    clips: int,
) -> Candidate:
    moments = draw_moments(validation, recipe, clips)
    calibrating = draw_clips(training, recipe, CALIBRATION_CLIPS, seed=7).inputs.float()
    example = torch.zeros(2, *calibrating.shape[1:])
    with expected_warnings():
        quantized = _Whole(quantize(network, example, torch.split(calibrating, 32)))
    models = tuple(to_onnx(form, example, "events", OUTPUTS) for form in (network, quantized.form))
    whole, rounded = (
        {
            moment: validate_student(form, drawn)["nme98_percent"]  # type: ignore[arg-type]
            for moment, drawn in moments.items()
        }
        for form in (network, quantized)
    )
    representation = recipe.event_representation
    return Candidate(name, whole, rounded, (models[0], models[1]), representation, recipe.side)


class _Whole(nn.Module):
    """A traced graph, which can neither be put in eval mode nor names a device."""

    def __init__(self, form: nn.Module) -> None:
        super().__init__()
        self.form = form
        self.place = nn.Parameter(torch.zeros(1))

    def eval(self) -> _Whole:
        return self

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = self.form(inputs.float())
        return outputs


def _milliseconds(candidates: list[Candidate]) -> dict[str, tuple[float, float, float]]:
    """Float network, INT8 network and representation of each, by name."""
    runs: dict[tuple[str, int], Callable[[], object]] = {}
    events, box = _events()
    for one in candidates:
        for place, model in enumerate(one.models):
            runs[one.name, place] = _network_run(model)
        runs[one.name, 2] = partial(one.representation.crop, events, box, (one.side, one.side))
    times: dict[tuple[str, int], list[float]] = {key: [] for key in runs}
    for turn in range(TURNS + 5):
        for key, run in runs.items():
            begun = time.perf_counter()
            run()
            if turn >= 5:
                times[key].append(1e3 * (time.perf_counter() - begun))
    median = {key: statistics.median(values) for key, values in times.items()}
    return {
        one.name: (median[one.name, 0], median[one.name, 1], median[one.name, 2])
        for one in candidates
    }


def _network_run(model: bytes) -> Callable[[], object]:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    session = ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    random = np.random.default_rng(0)
    shape = (1, *given.shape[1:])
    values = (random.random(shape) * (random.random(shape) < 0.2)).astype(np.float32)
    return lambda: session.run(None, {given.name: values})


def _events() -> tuple[EventArray, Box]:
    """20,000 events in 20 ms over a face of 200 pixels."""
    random = np.random.default_rng(0)
    x, y = (np.clip(random.normal(100, 40, 20_000), 0, 199).astype(int) for _ in range(2))
    t = np.sort(random.integers(0, 20_000, 20_000))
    return make_events(t=t, x=x, y=y, p=random.integers(0, 2, 20_000)), Box(0, 0, 200, 200)


def as_table(
    candidates: list[Candidate], milliseconds: Mapping[str, tuple[float, float, float]], steps: int
) -> str:
    """Markdown: errors of each moment in float32 and INT8, and milliseconds."""
    moments = list(MOMENTS)
    lines = [
        f"NME-98 in percent, float32 → INT8, after {steps:,} steps; milliseconds of one thread.",
        "",
        "| student | " + " | ".join(moments) + " | ms float32 | ms INT8 | ms representation |",
        "|---" + "|---:" * (len(moments) + 3) + "|",
    ]
    for one in candidates:
        errors = [f"{one.float_error[m]:.2f} → {one.int8_error[m]:.2f}" for m in moments]
        times = [f"{value:.3f}" for value in milliseconds[one.name]]
        name = "SimCC, voxel grid" if one.name == "student" else one.name.removeprefix("student, ")
        lines.append("| " + " | ".join([name, *errors, *times]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
