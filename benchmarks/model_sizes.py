"""Student against teacher against the authors' size: error, parameters, FLOPs, milliseconds.

    evface-edge ablate --faces faces -o runs/ablation
    python -m benchmarks model_sizes runs/ablation --faces faces -o sizes.md

Errors of teachers and of their students are those that `evface-edge ablate` has stored; the bundled
students are judged here, on the same moments drawn at the size that they look at. What a network
costs is measured here for all, batch 1 on one thread of the CPU: in PyTorch, in turns, and for the
bundled students in ONNX Runtime as well, in INT8. Of sizes that have not been trained only the cost
is known.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from evface_edge.models import find_model
from evface_training.ablation.measure import (
    MOMENTS,
    Cost,
    cost,
    draw_moments,
    judge,
    median_ms,
)
from evface_training.ablation.results import Finished, finished, options_of, put
from evface_training.data.faces import FaceSet
from evface_training.networks.student import Student
from evface_training.recipe import TrainRecipe, load_recipe
from evface_training.teacher.config import SIZES
from evface_training.teacher.network import Teacher

#: Rows of an ablation, and what its networks see.
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
#: Sizes of the teacher whose cost alone is known here; paper is the authors'.
UNTRAINED = ("base", "paper")
TURNS = 5


@dataclass(frozen=True)
class Row:
    """One network; errors are NME-98 in percent by moment, none where it was not trained."""

    name: str
    sees: str
    errors: Mapping[str, float]
    network: nn.Module
    int8: Callable[[], object] | None = None


class Exported(Student):
    """A bundled ONNX model in the place of the student that it was made of."""

    def __init__(self, recipe: TrainRecipe, model: Path) -> None:
        super().__init__(recipe.student)
        self._session = session(model)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = self._session.run(None, {"events": inputs.float().numpy()})
        landmarks, log_sigma, presence = (torch.from_numpy(values) for values in found)
        return landmarks, log_sigma, presence


def session(model: Path) -> ort.InferenceSession:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    return ort.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])


def main() -> None:
    options = options_of(__doc__).parse_args()
    torch.set_num_threads(1)
    ablation = finished(options)
    rows = [
        *_trained(ablation),
        *(_bundled(name, ablation.judging, options.clips) for name in BUNDLED),
        *_untrained(),
    ]
    put(as_table(rows, costs(rows), ablation.settings), options)


def _trained(ablation: Finished) -> list[Row]:
    size, rows = ablation.settings["size"], []
    for name, sees in TRAINED.items():
        seeds = list(ablation.rows.get(name, {}).values())
        if seeds:
            errors = {
                moment: float(np.mean([seed[moment] for seed in seeds])) for moment in MOMENTS
            }
            recipe = ablation.plan[name].recipe
            network = (
                Teacher(recipe.teacher) if recipe.task == "teacher" else Student(recipe.student)
            )
            rows.append(Row(f"{name} ({size})", sees, errors, network))
    return rows


def _bundled(name: str, faces: FaceSet, clips: int) -> Row:
    recipe, model = load_recipe(name), find_model(f"{name}-int8")
    errors = judge(Exported(recipe, model), draw_moments(faces, recipe, clips))
    inputs = np.zeros((1, recipe.student.in_channels, recipe.side, recipe.side), np.float32)
    inputs[:, :, ::2] = 0.5
    run = session(model)
    return Row(
        f"{name}, INT8, bundled",
        "events",
        errors,
        Student(recipe.student),
        lambda: run.run(None, {"events": inputs}),
    )


def _untrained() -> list[Row]:
    sizes = {name: replace(SIZES[name], fusion="cmfa") for name in UNTRAINED}
    return [Row(f"CMFA ({name})", "both", {}, Teacher(config)) for name, config in sizes.items()]


def costs(rows: list[Row]) -> dict[str, tuple[Cost, float | None]]:
    """Of each network, and milliseconds in INT8 where it is exported: medians of turns."""
    floats: dict[str, list[Cost]] = {row.name: [] for row in rows}
    int8_ms: dict[str, list[float]] = {row.name: [] for row in rows}
    for _ in range(TURNS):
        for row in rows:
            floats[row.name].append(cost(row.network.eval()))
            if row.int8 is not None:
                int8_ms[row.name].append(median_ms(row.int8))
    return {
        name: (
            replace(found[0], ms=statistics.median(one.ms for one in found)),
            statistics.median(int8_ms[name]) if int8_ms[name] else None,
        )
        for name, found in floats.items()
    }


def as_table(
    rows: list[Row],
    measured: Mapping[str, tuple[Cost, float | None]],
    settings: Mapping[str, Any],
) -> str:
    """Markdown; a network that was not trained has no errors."""
    lines = [
        f"NME-98 in percent on the moments of the ablation; its networks ({settings['size']}) had "
        f"{settings['steps']:,} steps on labels and {settings['pretraining_steps']:,} without. "
        "Milliseconds of one clip on one thread: PyTorch in float32, ONNX Runtime in INT8.",
        "",
        "| network | sees | " + " | ".join(MOMENTS) + " | M parameters | GFLOP | ms | ms INT8 |",
        "|---|---" + "|---:" * (len(MOMENTS) + 4) + "|",
    ]
    for row in rows:
        one, int8_ms = measured[row.name]
        errors = [f"{row.errors[m]:.2f}" if m in row.errors else "–" for m in MOMENTS]
        figures = (f"{one.parameters * 1e-6:.2f}", f"{one.flops * 1e-9:.3g}", f"{one.ms:.2f}")
        last = "–" if int8_ms is None else f"{int8_ms:.2f}"
        lines.append("| " + " | ".join([row.name, row.sees, *errors, *figures, last]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
