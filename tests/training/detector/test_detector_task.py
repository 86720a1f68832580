"""The loss and the metrics of the face detector, on hand-made outputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from evface_edge.tracking.detector_grid import GridShape
from evface_training.detector.network import STRIDE, Detector, DetectorConfig
from evface_training.detector.scenes import Scenes
from evface_training.detector.task import DetectorTask, detection_metrics, detector_loss

H, W = 18, 24


def _perfect(boxes: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    heat = torch.full((len(boxes), 1, H, W), -12.0)
    place = torch.zeros(len(boxes), 3, H, W)
    for b, (faces, states) in enumerate(zip(boxes, state, strict=True)):
        for (x, y, side), s in zip(faces.tolist(), states.tolist(), strict=True):
            if s == 1:
                column, row = int(x / STRIDE), int(y / STRIDE)
                heat[b, 0, row, column] = 12.0
                columns, rows = torch.arange(W) + 0.5, torch.arange(H) + 0.5
                place[b, 0] = (x / STRIDE - columns)[None]
                place[b, 1] = (y / STRIDE - rows)[:, None]
                place[b, 2] = math.log(side)
    return heat, place


BOXES = torch.tensor([[[30.5, 40.25, 20.0], [0, 0, 1]], [[70.0, 20.0, 8.0], [20.0, 60.0, 30.0]]])
STATE = torch.tensor([[1, 0], [1, -1]])


def test_the_loss_of_the_truth_is_0_and_each_error_adds_its_own() -> None:
    heat, place = _perfect(BOXES, STATE)
    losses = {name: float(v) for name, v in detector_loss(heat, place, BOXES, STATE).items()}
    assert losses["total"] == pytest.approx(0, abs=1e-3)
    wider = place.clone()
    wider[:, 2] += 0.5
    assert float(detector_loss(heat, wider, BOXES, STATE)["side"]) == pytest.approx(0.5, abs=1e-3)
    missed = heat.clone()
    missed[0, 0, 10, 7] = -12.0
    assert float(detector_loss(missed, place, BOXES, STATE)["heat"]) > 1
    false = heat.clone()
    false[0, 0, 2, 20] = 12.0
    assert float(detector_loss(false, place, BOXES, STATE)["heat"]) > 1


def test_ignored_faces_do_not_count() -> None:
    heat, place = _perfect(BOXES, STATE)
    peak = heat.clone()
    peak[1, 0, 15, 5] = 12.0  # the centre of the face in state -1
    assert float(detector_loss(peak, place, BOXES, STATE)["total"]) == pytest.approx(0, abs=1e-3)


def test_metrics_count_faces_and_false_detections() -> None:
    heat, place = _perfect(BOXES, STATE)
    scenes = Scenes(torch.zeros(2, 6, 72, 96), BOXES, STATE)
    metrics = detection_metrics(heat.numpy(), place.numpy(), scenes)
    assert metrics["found_percent"] == 100
    assert metrics["iou_percent"] == pytest.approx(100, abs=1e-3)
    heat[1, 0] = -12.0
    heat[0, 0, 1, 1] = 13.0  # a false detection above the face: the threshold excludes both
    metrics = detection_metrics(heat.numpy(), place.numpy(), scenes)
    assert metrics["found_percent"] == 0
    assert metrics["threshold"] > 0.999


def test_a_small_detector_learns_one_batch() -> None:
    torch.manual_seed(0)
    shape = GridShape(width=48, height=32)
    task = DetectorTask(Detector(DetectorConfig(shape, (8, 16, 16, 16))))
    inputs = torch.zeros(4, 6, 32, 48)
    boxes = torch.zeros(4, 2, 3)
    for b, (x, y) in enumerate([(10, 10), (38, 8), (14, 24), (30, 20)]):
        inputs[b, :, y - 4 : y + 4, x - 4 : x + 4] = torch.rand(8, 8)
        boxes[b, 0] = torch.tensor([x, y, 8.0])
    batch = {"events": inputs, "boxes": boxes, "state": torch.tensor([[1, 0]] * 4)}
    mover = torch.optim.Adam(task.parameters(), 5e-3)
    losses = []
    for step in range(60):
        loss = task(batch, step)["total"]
        mover.zero_grad()
        loss.backward()
        mover.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.3 * losses[0]
