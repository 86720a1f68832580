"""Validation during training: metrics on a fixed set of clips."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from evface_edge.errors import ConfigError
from evface_edge.metrics import nme68, nme98
from evface_training.clip_maker import ENOUGH_FILLED
from evface_training.networks.student import Student
from evface_training.simulation.clips import Clips
from evface_training.ssmer.events import UNCHANGED, PackedEvents
from evface_training.ssmer.network import SharedEncoder
from evface_training.ssmer.objectives import embedding_std
from evface_training.ssmer.views import draw_view
from evface_training.teacher.network import Teacher

_BATCH = 64


def _metrics(points: Tensor, clips: Clips) -> dict[str, float]:
    predicted, truth = points.float().cpu().numpy(), clips.points.cpu().numpy()
    errors = 100 * nme98(predicted, truth)
    filled = (clips.inputs != 0).float().mean((1, 2, 3)).cpu().numpy() >= ENOUGH_FILLED
    return {
        "nme98_percent": float(errors.mean()),
        # Without the clips with almost no events: nothing can be seen there.
        "nme98_enough_events_percent": float(errors[filled].mean()) if filled.any() else math.nan,
        "nme98_median_percent": float(np.median(errors)),
        "nme68_percent": 100 * float(nme68(predicted, truth).mean()),
    }


def _parts(network: nn.Module, *tensors: Tensor | None) -> Iterator[list[Tensor | None]]:
    """The tensors in batches, on the device of the network."""
    device = next(network.parameters()).device
    count = max(len(tensor) for tensor in tensors if tensor is not None)
    for start in range(0, count, _BATCH):
        rows = slice(start, start + _BATCH)
        yield [None if tensor is None else tensor[rows].to(device) for tensor in tensors]


@torch.no_grad()
def validate_student(network: Student, clips: Clips) -> dict[str, float]:
    """Mean and median NME in percent over the clips."""
    network.eval()
    points = torch.cat([network(*part)[0] for part in _parts(network, clips.inputs)])
    return _metrics(points, clips)


@torch.no_grad()
def validate_teacher(network: Teacher, clips: Clips) -> dict[str, float]:
    """As `validate_student`, for a teacher; if it fuses RGB, also its NME without RGB."""
    network.eval()
    config = network.config
    events = clips.inputs if config.uses_events else None
    rgb = clips.rgb if config.uses_rgb else None
    points = torch.cat([network(*part).points for part in _parts(network, events, rgb)])
    metrics = _metrics(points, clips)
    if events is not None and rgb is not None:
        alone = torch.cat([network(*part).points for part in _parts(network, events, None)])
        metrics["events_only_nme98_percent"] = _metrics(alone, clips)["nme98_percent"]
    return metrics


@torch.no_grad()
def validate_encoder(network: SharedEncoder, clips: Clips) -> dict[str, float]:
    """Spread of the pooled features of each view: 1 over the whole sphere, 0 in a single point.

    SSMER has no landmarks to compare. A spread near 0 means that the features have collapsed.
    """
    network.eval()
    device = next(network.parameters()).device
    if clips.events is None:
        raise ConfigError("clips.events", None, "clips simulated with their lists of events")
    # Rounded as in a batch, as the network sees them in training.
    lists = PackedEvents.of_clips(clips.events, clips.duration_s).to_batch()
    events = PackedEvents.of_batch({name: tensor.to(device) for name, tensor in lists.items()})
    spreads = {}
    for name in network.adapters:
        image = draw_view(name, events, clips.inputs.shape[-1], UNCHANGED)
        pooled = torch.cat(
            [network(part, name).float().mean((2, 3)) for part in torch.split(image, _BATCH)]
        )
        spreads[f"spread_{name}"] = float(embedding_std(pooled)) * math.sqrt(pooled.shape[1])
    return spreads
