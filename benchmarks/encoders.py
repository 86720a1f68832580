"""Landmarks predicted from frozen SSMER encoders by ridge regression, without further training.

    evface-edge ablate --faces faces -o runs/ablation
    python -m benchmarks encoders runs/ablation --faces faces -o encoders.json

Each encoder's feature map is averaged in 4 × 4 cells; ridge regression, which has a closed form,
predicts the points from them. So the report tells what pretraining is worth, with how many labels,
and how much position is left in a single cell. BatchNorm statistics are estimated anew, without
labels. The encoders of the first seed are compared with the mean of the points, with untrained
weights and with weights trained on landmarks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.ablation_results import AblationResults, load_results, parser_for, write_json
from evface_edge.metrics import nme98
from evface_training.ablation.measure import draw_clip_sets
from evface_training.clip_maker import with_fraction_of_people
from evface_training.recipe import TrainRecipe
from evface_training.simulation.clips import Clips
from evface_training.tasks.init_weights import load_encoder, load_teacher
from evface_training.tasks.table import build_task
from evface_training.teacher.network import Teacher

#: Trainings of an ablation → names in the report.
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
#: Candidate weights of the penalty, relative to the mean variance of the features × their number.
_PENALTIES = tuple(10.0**power for power in range(-5, 3))


def main() -> None:
    options = parser_for(__doc__).parse_args()
    torch.set_num_threads(1)
    ablation = load_results(options)
    recipe = ablation.plan[SUPERVISED].recipe
    test = draw_clip_sets(ablation.validation, recipe, options.clips)
    rows = []
    for fraction in FRACTIONS:
        people = with_fraction_of_people(ablation.training, fraction)
        clip_sets = draw_clip_sets(people, recipe, options.clips)
        for probed in encoders(ablation, recipe):
            for grid, errors in probe(probed.network, clip_sets, test).items():
                row = {"encoder": probed.name, "label_fraction": fraction, "grid": grid}
                row |= {"weights_moved": probed.moved, "nme98_percent": errors}
                rows.append(row)
    write_json({"settings": dict(ablation.settings), "rows": rows}, options)


@dataclass(frozen=True)
class Probed:
    """An encoder of voxel grids.

    Attributes:
        moved: distance of its weights from their start ÷ their length at the start.
    """

    name: str
    network: nn.Module
    moved: float = 0.0


def encoders(ablation: AblationResults, recipe: TrainRecipe) -> Iterator[Probed]:
    """The encoders with a checkpoint, and the three that they are compared with."""
    yield Probed("none: the mean of the points", Constant())
    fresh = _backbone(build_task(recipe).network)
    yield Probed("untrained weights", fresh)
    for training, name in PRETRAINED.items():
        checkpoint = ablation.checkpoint(training)
        if checkpoint:
            shared = load_encoder(checkpoint)
            start = build_task(ablation.plan[training].recipe).network
            yield Probed(name, shared.pretrained("voxel"), moved(start, shared))
    checkpoint = ablation.checkpoint(SUPERVISED)
    if checkpoint:
        trained = _backbone(load_teacher(checkpoint))
        yield Probed("trained on all labels", trained, moved(fresh, trained))


def moved(start: nn.Module, trained: nn.Module) -> float:
    """Distance of all convolution weights from their start ÷ their length at the start."""
    before, after = _weights(start), _weights(trained)
    return float((after - before).norm() / before.norm())


def _weights(network: nn.Module) -> Tensor:
    convolutions = (part for part in network.modules() if isinstance(part, nn.Conv2d))
    return torch.cat([one.weight.detach().flatten() for one in convolutions])


class Constant(nn.Module):
    """The same map for every clip, from which only the mean of the points can be predicted."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.new_zeros(len(inputs), 1, GRIDS[0], GRIDS[0])


def _backbone(network: nn.Module) -> nn.Module:
    assert isinstance(network, Teacher)
    assert network.events is not None
    return network.events.backbone


def probe(
    encoder: nn.Module, train: Mapping[str, Clips], test: Mapping[str, Clips]
) -> dict[int, dict[str, float]]:
    """Cells per side → set of clips → NME-98 in percent."""
    encoder = with_statistics_of(encoder, torch.cat([clips.inputs for clips in train.values()]))
    train_maps = [features(encoder, clips.inputs) for clips in train.values()]
    points = torch.cat([clips.points for clips in train.values()]).flatten(1)
    test_maps = {name: features(encoder, clips.inputs) for name, clips in test.items()}
    errors: dict[int, dict[str, float]] = {}
    for grid in GRIDS:
        predict = Ridge(torch.cat([_cells(maps, grid) for maps in train_maps]), points)
        errors[grid] = {
            name: _nme_percent(predict(_cells(maps, grid)), test[name].points)
            for name, maps in test_maps.items()
        }
    return errors


@torch.no_grad()
def with_statistics_of(encoder: nn.Module, inputs: Tensor) -> nn.Module:
    """A copy in eval mode whose BatchNorm statistics are those of these clips."""
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
    """Ridge regression; the penalty is chosen on the last fifth of the training data."""

    def __init__(self, features: Tensor, targets: Tensor) -> None:
        first = len(features) * 4 // 5
        errors = []
        for penalty in _PENALTIES:
            self._fit(features[:first], targets[:first], penalty)
            errors.append(float((self(features[first:]) - targets[first:]).square().mean()))
        self._fit(features, targets, _PENALTIES[int(np.argmin(errors))])

    def _fit(self, features: Tensor, targets: Tensor, penalty: float) -> None:
        x, y = features.double(), targets.double()
        self.mean, self.target = x.mean(0), y.mean(0)
        x = x - self.mean
        gram = x.T @ x
        ridge = penalty * gram.diagonal().mean().clamp_min(1e-9)
        ridge = ridge * torch.eye(len(gram), dtype=gram.dtype)
        self.weight = torch.linalg.solve(gram + ridge, x.T @ (y - self.target))

    def __call__(self, features: Tensor) -> Tensor:
        return (features.double() - self.mean) @ self.weight + self.target


def _nme_percent(predicted: Tensor, truth: Tensor) -> float:
    points = predicted.view(truth.shape).float().numpy()
    return 100 * float(nme98(points, truth.numpy()).mean())


if __name__ == "__main__":
    main()
