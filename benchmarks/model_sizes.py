"""Bundled students beside teachers: error, parameters, FLOPs and latency.

    python -m benchmarks model_sizes --faces faces -o sizes.json

Latencies are medians of turns, batch 1 on one CPU thread: in PyTorch, and for the bundled students
also in ONNX Runtime, INT8. Teachers have random weights and a cost only; errors of trained ones are
those of `evface-edge ablate`, on the same clip sets.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from evface_edge.models import find_model
from evface_training.ablation.measure import draw_clip_sets, evaluate, measure_cost, median_ms
from evface_training.ablation.run import ablation_faces
from evface_training.data.faces import FaceSet
from evface_training.networks.student import Student
from evface_training.recipe import TrainRecipe, load_recipe
from evface_training.teacher.network import Teacher

BUNDLED = ("evface-n", "evface-s")
#: `paper` is the size of the authors.
TEACHERS = ("tiny", "base", "paper")
TURNS = 5


@dataclass(frozen=True)
class Row:
    """One network.

    Attributes:
        errors: set of clips → NME-98 in percent; empty if it was not trained.
        int8: runs the INT8 model once, if there is one.
    """

    name: str
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


def bundled(name: str, faces: FaceSet, clips: int) -> Row:
    recipe = load_recipe(name)
    student = OnnxStudent(recipe, find_model(f"{name}-int8"))
    errors = evaluate(student, draw_clip_sets(faces, recipe, clips))
    inputs = np.zeros((1, recipe.student.in_channels, recipe.side, recipe.side), np.float32)
    inputs[:, :, ::2] = 0.5
    run = lambda: student.session.run(None, {"events": inputs})  # noqa: E731
    return Row(f"{name}, INT8", errors, Student(recipe.student), run)


def teacher(size: str) -> Row:
    return Row(f"CMFA ({size})", {}, Teacher(load_recipe(f"teacher-{size}").teacher))


def measured(rows: list[Row]) -> list[dict[str, Any]]:
    """The rows of the report, with the cost of each network."""
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
        int8 = statistics.median(times) if times else None
        values = {"network": row.name, "nme98_percent": dict(row.errors)}
        report.append({**values, **asdict(median), "int8_ms": int8})
    return report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path, action="append", required=True, help="as for ablate")
    parser.add_argument("--cache", type=Path, help="as for ablate")
    parser.add_argument("--clips", type=int, default=1024, help="clips of each set")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    _, faces = ablation_faces(options.faces, options.cache, Path())
    rows = [bundled(name, faces, options.clips) for name in BUNDLED]
    text = json.dumps(measured([*rows, *map(teacher, TEACHERS)]), indent=1) + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
