"""The loss of the face detector, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from evface_edge.tracking.peaks import Peak, find_peaks
from evface_training.detector.network import STRIDE, Detector
from evface_training.detector.scenes import Scenes
from evface_training.tasks.base import Batch, Task, as_input, for_log

#: Weights of the errors of the centre (cells of the heat map) and of the logarithm of the side.
MIDDLE_WEIGHT, SIDE_WEIGHT = 0.5, 1.0
#: Width of a peak: as a fraction of the face's side, and the minimum in cells of the heat map.
_SPREAD, _LEAST_SPREAD = 0.1, 0.7
#: Exponents of the focal loss (Zhou et al., "Objects as Points", 2019, eq. 1).
_ALPHA, _BETA = 2.0, 4.0
#: Smallest overlap of a detection with a face.
FOUND_IOU = 0.5
#: False detections per scene at which the detection rate is measured.
FALSE_PER_SCENE = 0.1
_BATCH = 64


class DetectorTask(Task):
    """Heat, centre and side from labelled scenes, with augmentation: a random half is mirrored, a
    random half has ON and OFF exchanged."""

    needs = ("events", "boxes", "state")

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    @property
    def network(self) -> nn.Module:
        return self.detector

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        inputs, boxes = _augmented(as_input(batch["events"]), batch["boxes"])
        heat, place = self.detector(inputs)
        return for_log(detector_loss(heat.float(), place.float(), boxes, batch["state"]))


def _augmented(inputs: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    mirror, swap = torch.rand(2, len(inputs), device=inputs.device) < 0.5
    inputs = torch.where(mirror[:, None, None, None], inputs.flip(3), inputs)
    x, y, side = boxes.unbind(-1)
    x = torch.where(mirror[:, None], inputs.shape[3] - x, x)
    batch, channels, height, width = inputs.shape
    swapped = inputs.reshape(batch, channels // 2, 2, height, width).flip(2).reshape(inputs.shape)
    inputs = torch.where(swap[:, None, None, None], swapped, inputs)
    return inputs, torch.stack([x, y, side], -1)


def detector_loss(heat: Tensor, place: Tensor, boxes: Tensor, state: Tensor) -> dict[str, Tensor]:
    """Return the focal loss of the heat map and the L1 errors of centres and logarithms of sides.

    Args:
        heat: (B, 1, h, w) logits; place: (B, 3, h, w), see `Detector`.
        boxes: (B, K, 3) centre and side in cells of the grid; state: (B, K), see `Scenes`.

    Returns:
        total, heat, middle, side: scalars.
    """
    height, width = heat.shape[2:]
    column = torch.arange(width, device=heat.device) + 0.5
    row = torch.arange(height, device=heat.device) + 0.5
    middle, side = boxes[..., :2] / STRIDE, boxes[..., 2] / STRIDE
    dx = (middle[..., 0, None] - column)[:, :, None, :]  # (B, K, 1, w)
    dy = (middle[..., 1, None] - row)[:, :, :, None]  # (B, K, h, 1)
    spread = (side * _SPREAD).clamp_min(_LEAST_SPREAD)[..., None, None]
    bell = torch.exp(-(dx * dx + dy * dy) / (2 * spread * spread))
    is_face = (state == 1)[..., None, None]
    target = (bell * is_face).amax(1)
    peak = ((dx >= -0.5) & (dx < 0.5) & (dy >= -0.5) & (dy < 0.5) & is_face).any(1)
    half = side[..., None, None] / 2
    unsure = ((dx.abs() < half) & (dy.abs() < half) & (state == -1)[..., None, None]).any(1)
    unsure &= ~peak & (target < 0.1)

    logit = heat[:, 0]
    probability = logit.sigmoid()
    of_peak = (1 - probability) ** _ALPHA * F.logsigmoid(logit)
    of_rest = (1 - target) ** _BETA * probability**_ALPHA * F.logsigmoid(-logit)
    count = peak.sum().clamp_min(1)
    heat_loss = -torch.where(peak, of_peak, of_rest * ~unsure).sum() / count

    # Around each centre, of the face with the highest target there.
    nearest = (bell * is_face).argmax(1, keepdim=True)
    weight = target * (target > 0.4)

    def of_nearest(values: Tensor) -> Tensor:
        return values.expand_as(bell).gather(1, nearest)[:, 0]

    total = weight.sum().clamp_min(1)
    off = (place[:, 0] - of_nearest(dx)).abs() + (place[:, 1] - of_nearest(dy)).abs()
    log_side = boxes[..., 2].clamp_min(1).log()[..., None, None]
    wrong = (place[:, 2] - of_nearest(log_side)).abs()
    middle_loss, side_loss = (off * weight).sum() / total, (wrong * weight).sum() / total
    return {
        "total": heat_loss + MIDDLE_WEIGHT * middle_loss + SIDE_WEIGHT * side_loss,
        "heat": heat_loss,
        "middle": middle_loss,
        "side": side_loss,
    }


@torch.no_grad()
def validate_detector(
    network: Detector, scenes: Scenes, false_per_scene: float = FALSE_PER_SCENE
) -> Mapping[str, float]:
    """Return the metrics of a network on scenes; see `detection_metrics`."""
    network.eval()
    device = next(network.parameters()).device
    heat, place = [], []
    for part in torch.split(scenes.inputs, _BATCH):
        outputs = network(part.to(device))
        heat.append(outputs[0].float().cpu())
        place.append(outputs[1].float().cpu())
    maps = torch.cat(heat).numpy(), torch.cat(place).numpy()
    return detection_metrics(*maps, scenes, false_per_scene)


def detection_metrics(
    heat: NDArray[np.float32],
    place: NDArray[np.float32],
    scenes: Scenes,
    false_per_scene: float = FALSE_PER_SCENE,
) -> dict[str, float]:
    """Return found_percent (faces detected), iou_percent of the detected ones, and the threshold.

    Args:
        heat, place: outputs of the network on the scenes.
        false_per_scene: false detections per scene that the threshold allows.
    """
    hits: list[tuple[float, float]] = []
    false: list[float] = []
    faces = 0
    for index in range(len(heat)):
        peaks = find_peaks(heat[index, 0], place[index], STRIDE, threshold=1e-3)
        truth = [
            (int(state), Peak(1.0, *map(float, box)))
            for state, box in zip(scenes.state[index], scenes.boxes[index], strict=True)
            if int(state)
        ]
        faces += sum(state == 1 for state, _ in truth)
        missing = list(truth)
        for peak in peaks:
            near = [pair for pair in missing if peak.iou(pair[1]) >= FOUND_IOU]
            if near:
                best = max(near, key=lambda pair: peak.iou(pair[1]))
                missing.remove(best)
                if best[0] == 1:
                    hits.append((peak.score, peak.iou(best[1])))
            elif all(_beside(peak, box) for _, box in truth):
                false.append(peak.score)
    allowed = int(false_per_scene * len(heat))
    ranked = sorted(false, reverse=True)
    threshold = ranked[allowed] if len(ranked) > allowed else 1e-3
    ious = [iou for score, iou in hits if score > threshold]
    return {
        "found_percent": 100 * len(ious) / max(faces, 1),
        "iou_percent": 100 * float(np.mean(ious)) if ious else 0.0,
        "threshold": float(threshold),
    }


def _beside(peak: Peak, box: Peak) -> bool:
    """Whether a peak is outside the box: a second peak on a face is no false detection."""
    return max(abs(peak.x - box.x), abs(peak.y - box.y)) > box.side / 2
