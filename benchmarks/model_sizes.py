"""Students and teachers: error, parameters, FLOPs and latency.

    evface-edge ablate --faces faces -o runs/ablation
    python -m benchmarks model_sizes runs/ablation --faces faces -o sizes.json

Errors of the teachers and their students are those of `evface-edge ablate`; the bundled students
are evaluated here on the same clip sets, at their own input size. The cost of all networks is
measured here in turns, batch 1 on one CPU thread: in PyTorch, and for the bundled students also in
ONNX Runtime, INT8. Sizes that the ablation has not trained have a cost only.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from benchmarks.ablation_results import AblationResults, load_results, parser_for, write_json
from evface_edge.models import find_model
from evface_training.ablation.measure import (
    CLIP_SETS,
    draw_clip_sets,
    evaluate,
    measure_cost,
    median_ms,
)
from evface_training.data.faces import FaceSet
from evface_training.networks.student import Student
from evface_training.recipe import TrainRecipe, load_recipe
from evface_training.teacher.network import Teacher

#: Rows of an ablation → input of their networks.
TRAINED = {
    "RGB": "RGB",
    "events": "events",
    "events + SSMER, all three": "events",
    "CMFA": "both",
    "CMFA + SSMER": "both",
    "student": "events",
    "student, distilled": "events",
}
BUNDLED = ("evface-n", "evface-s")
#: Sizes of the teacher with a cost only; paper is that of the authors.
UNTRAINED = ("base", "paper")
TURNS = 5


@dataclass(frozen=True)
class Row:
    """One network.

    Attributes:
        errors: set of clips → NME-98 in percent; empty if it was not trained.
        int8: runs the INT8 model once, if there is one.
    """

    name: str
    input: str
    errors: Mapping[str, float]
    network: nn.Module
    int8: Callable[[], object] | None = None


class OnnxStudent(Student):
    """A bundled ONNX model with the interface of a Student."""

    def __init__(self, recipe: TrainRecipe, model: Path) -> None:
        super().__init__(recipe.student)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        self.session = ort.InferenceSession(str(model), options, providers=providers)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        outputs = self.session.run(None, {"events": inputs.float().numpy()})
        landmarks, log_sigma, presence = (torch.from_numpy(values) for values in outputs)
        return landmarks, log_sigma, presence


def main() -> None:
    options = parser_for(__doc__).parse_args()
    torch.set_num_threads(1)
    ablation = load_results(options)
    rows = [
        *_trained(ablation),
        *(_bundled(name, ablation.validation, options.clips) for name in BUNDLED),
        *_untrained(),
    ]
    report = {"settings": dict(ablation.settings), "rows": measured(rows)}
    write_json(report, options)


def _trained(ablation: AblationResults) -> list[Row]:
    size, rows = ablation.settings["size"], []
    for name, kind in TRAINED.items():
        seeds = list(ablation.rows.get(name, {}).values())
        if seeds:
            errors = {key: float(np.mean([seed[key] for seed in seeds])) for key in CLIP_SETS}
            recipe = ablation.plan[name].recipe
            network = (
                Teacher(recipe.teacher) if recipe.task == "teacher" else Student(recipe.student)
            )
            rows.append(Row(f"{name} ({size})", kind, errors, network))
    return rows


def _bundled(name: str, faces: FaceSet, clips: int) -> Row:
    recipe = load_recipe(name)
    student = OnnxStudent(recipe, find_model(f"{name}-int8"))
    errors = evaluate(student, draw_clip_sets(faces, recipe, clips))
    inputs = np.zeros((1, recipe.student.in_channels, recipe.side, recipe.side), np.float32)
    inputs[:, :, ::2] = 0.5
    return Row(
        f"{name}, INT8, bundled",
        "events",
        errors,
        Student(recipe.student),
        lambda: student.session.run(None, {"events": inputs}),
    )


def _untrained() -> list[Row]:
    sizes = {size: load_recipe(f"teacher-{size}").teacher for size in UNTRAINED}
    return [Row(f"CMFA ({size})", "both", {}, Teacher(sizes[size])) for size in UNTRAINED]


def measured(rows: list[Row]) -> list[dict[str, Any]]:
    """The rows of the report, with the cost of each network; latencies are medians of turns."""
    costs = {row.name: [measure_cost(row.network.eval())] for row in rows}
    int8_ms: dict[str, list[float]] = {row.name: [] for row in rows}
    for turn in range(TURNS):
        for row in rows:
            if turn:
                costs[row.name].append(measure_cost(row.network))
            if row.int8 is not None:
                int8_ms[row.name].append(median_ms(row.int8))
    report = []
    for row in rows:
        cost, times = costs[row.name], int8_ms[row.name]
        median = replace(cost[0], ms=statistics.median(one.ms for one in cost))
        values = {"network": row.name, "input": row.input, "nme98_percent": dict(row.errors)}
        int8 = statistics.median(times) if times else None
        report.append({**values, **asdict(median), "int8_ms": int8})
    return report


if __name__ == "__main__":
    main()
