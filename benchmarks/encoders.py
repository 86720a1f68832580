"""What encoders know before any label: landmarks read from frozen features, in closed form.

    evface-edge ablate --faces faces -o runs/ablation
    python -m benchmarks encoders runs/ablation --faces faces -o probes.md

Further training blurs what an encoder brought. Here it stays as it is: its map of each clip is
averaged in 4 × 4 cells, and ridge regression, which has one answer and no chance in it, reads the
points from these numbers. So one sees what pretraining is worth, how far it goes with few labels,
and how much of *where* is left in one cell for all. Statistics of batch normalisation are taken
anew from the clips that are learned from, without labels. Beside the encoders of the first seed
stand the mean of the points, weights that nothing has trained, and those that landmarks have.
How far training has moved the weights, ÷ their length before it, stands beside what it brought.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evface_edge.metrics import nme98
from evface_training.ablation.measure import MOMENTS, draw_moments
from evface_training.ablation.results import Finished, finished, options_of, put
from evface_training.clip_maker import with_fraction_of_people
from evface_training.recipe import TrainRecipe
from evface_training.simulation.clips import Clips
from evface_training.tasks.table import build_task, load_encoder, load_teacher
from evface_training.teacher.network import Teacher

#: Trainings of an ablation, and what the table calls them.
PRETRAINED = {
    "encoder, frame": "SSMER, frame",
    "encoder, voxel": "SSMER, voxel",
    "encoder, surface": "SSMER, surface",
    "encoder, all three": "SSMER, all three",
    "encoder, Adam": "SSMER, all three, Adam",
    "encoder, by place": "SSMER, all three, Adam, by place",
    "encoder, MIRROR": "MIRROR, all three",
}
SUPERVISED = "events"
FRACTIONS = (0.01, 0.1, 1.0)
GRIDS = (4, 1)
_BATCH = 64
#: Weights of the ridge, as fractions of the features' mean variance × their number.
_RIDGES = tuple(10.0**power for power in range(-5, 3))


def main() -> None:
    options = options_of(__doc__).parse_args()
    torch.set_num_threads(1)
    ablation = finished(options)
    recipe = ablation.plan[SUPERVISED].recipe
    judges = draw_moments(ablation.judging, recipe, options.clips)
    found: dict[str, dict[tuple[float, int], dict[str, float]]] = {}
    moved_by: dict[str, float] = {}
    for fraction in FRACTIONS:
        people = with_fraction_of_people(ablation.training, fraction)
        clips = draw_moments(people, recipe, options.clips)
        for one in encoders(ablation, recipe):
            moved_by[one.name] = one.moved
            found.setdefault(one.name, {}).update(
                {
                    (fraction, grid): errors
                    for grid, errors in probe(one.network, clips, judges).items()
                    if fraction == 1 or grid == GRIDS[0]
                }
            )
            print(f"{one.name}, {fraction:.0%} of labels: read", flush=True)  # noqa: T201
    put(as_table(found, moved_by), options)


@dataclass(frozen=True)
class Probed:
    """A network of a voxel grid.

    Attributes:
        moved: how far its weights are from where they began ÷ their length there.
    """

    name: str
    network: nn.Module
    moved: float = 0.0


def encoders(ablation: Finished, recipe: TrainRecipe) -> Iterator[Probed]:
    """Those whose checkpoints are there, between others."""
    yield Probed("none: the mean of the points", Blind())
    fresh = _backbone(build_task(recipe).network)
    yield Probed("weights from scratch", fresh)
    for training, name in PRETRAINED.items():
        checkpoint = ablation.checkpoint(training)
        if checkpoint:
            shared = load_encoder(checkpoint)
            began = build_task(ablation.plan[training].recipe).network
            yield Probed(name, shared.pretrained("voxel"), moved(began, shared))
    checkpoint = ablation.checkpoint(SUPERVISED)
    if checkpoint:
        trained = _backbone(load_teacher(checkpoint))
        yield Probed("trained with all labels", trained, moved(fresh, trained))


def moved(began: nn.Module, trained: nn.Module) -> float:
    """Distance of the weights of all convolutions from where they began ÷ their length there."""
    before, after = _weights(began), _weights(trained)
    return float((after - before).norm() / before.norm())


def _weights(network: nn.Module) -> Tensor:
    convolutions = (part for part in network.modules() if isinstance(part, nn.Conv2d))
    return torch.cat([one.weight.detach().flatten() for one in convolutions])


class Blind(nn.Module):
    """The same map for every clip: nothing but the mean of the points can be read from it."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.new_zeros(len(inputs), 1, GRIDS[0], GRIDS[0])


def _backbone(network: nn.Module) -> nn.Module:
    assert isinstance(network, Teacher)
    assert network.events is not None
    return network.events.backbone


def probe(
    encoder: nn.Module, clips: Mapping[str, Clips], judges: Mapping[str, Clips]
) -> dict[int, dict[str, float]]:
    """Grid → moment → NME-98 in percent of points that were read from so many cells a side."""
    encoder = settled(encoder, torch.cat([one.inputs for one in clips.values()]))
    learned = [features(encoder, one.inputs) for one in clips.values()]
    points = torch.cat([one.points for one in clips.values()]).flatten(1)
    judged = {moment: features(encoder, one.inputs) for moment, one in judges.items()}
    errors: dict[int, dict[str, float]] = {}
    for grid in GRIDS:
        read = Ridge(torch.cat([_cells(maps, grid) for maps in learned]), points)
        errors[grid] = {
            moment: _nme_percent(read(_cells(maps, grid)), judges[moment].points)
            for moment, maps in judged.items()
        }
    return errors


@torch.no_grad()
def settled(encoder: nn.Module, inputs: Tensor) -> nn.Module:
    """A copy whose batch normalisation has seen these clips, in eval mode."""
    encoder = copy.deepcopy(encoder)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean of all batches
    encoder.train()
    for part in inputs.split(_BATCH):
        encoder(part.float())
    return encoder.eval()


@torch.no_grad()
def features(encoder: nn.Module, inputs: Tensor) -> Tensor:
    """(N, C, S, S) → maps averaged to the finest of the grids: (N, width, 4, 4)."""
    parts = (encoder(part.float()) for part in inputs.split(_BATCH))
    return torch.cat([F.adaptive_avg_pool2d(part, GRIDS[0]) for part in parts])


def _cells(maps: Tensor, grid: int) -> Tensor:
    return F.adaptive_avg_pool2d(maps, grid).flatten(1)


class Ridge:
    """Linear regression with a penalty, chosen on the last fifth of what it learns from."""

    def __init__(self, features: Tensor, targets: Tensor) -> None:
        first = len(features) * 4 // 5
        trials = []
        for ridge in _RIDGES:
            self._fit(features[:first], targets[:first], ridge)
            trials.append(float((self(features[first:]) - targets[first:]).square().mean()))
        self._fit(features, targets, _RIDGES[int(np.argmin(trials))])

    def _fit(self, features: Tensor, targets: Tensor, ridge: float) -> None:
        x, y = features.double(), targets.double()
        self.mean, self.target = x.mean(0), y.mean(0)
        x = x - self.mean
        gram = x.T @ x
        penalty = (
            ridge * gram.diagonal().mean().clamp_min(1e-9) * torch.eye(len(gram), dtype=gram.dtype)
        )
        self.weight = torch.linalg.solve(gram + penalty, x.T @ (y - self.target))

    def __call__(self, features: Tensor) -> Tensor:
        return (features.double() - self.mean) @ self.weight + self.target


def _nme_percent(found: Tensor, expected: Tensor) -> float:
    points = found.view(expected.shape).float().numpy()
    return 100 * float(nme98(points, expected.numpy()).mean())


def as_table(
    found: Mapping[str, Mapping[tuple[float, int], Mapping[str, float]]],
    moved_by: Mapping[str, float],
) -> str:
    """Markdown: all labels at each moment; means of the moments with one cell, and few labels;
    how far the weights have moved."""
    few = [f"{fraction:.0%} of labels" for fraction in FRACTIONS[:-1]]
    heads = ["encoder", *MOMENTS, "mean", *few, "mean, one cell", "weights moved"]
    lines = [
        "NME-98 in percent of points read from frozen features by ridge regression.",
        "",
        "| " + " | ".join(heads) + " |",
        "|---" + "|---:" * (len(heads) - 1) + "|",
    ]
    for name, figures in found.items():
        mean = {key: float(np.mean(list(errors.values()))) for key, errors in figures.items()}
        everywhere = figures[1.0, GRIDS[0]]
        values = [
            *(everywhere[moment] for moment in MOMENTS),
            mean[1.0, GRIDS[0]],
            *(mean[fraction, GRIDS[0]] for fraction in FRACTIONS[:-1]),
            mean[1.0, GRIDS[1]],
        ]
        cells = [name, *(f"{value:.2f}" for value in values), f"{moved_by[name]:.0%}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
