"""Expressions: rotation of the jaw, and displacement fields of lips and brows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evface_training.avatar.layout import smooth_step
from evface_training.avatar.mesh import NeutralAvatar
from evface_training.avatar.scene import Expression

Floats = NDArray[np.floating]

#: Middle of the axis of the jaw, (y, z) mm, and its widest opening.
JAW_HINGE = (-18.0, 8.0)
JAW_RANGE_DEG = 19.0


class Deformer:
    """Applies expressions to one avatar; `apply` takes about a millisecond."""

    def __init__(self, neutral: NeutralAvatar) -> None:
        self._points = neutral.points
        self._fields, self._names = _fields(neutral)
        self.jaw_weight = _jaw_weight(neutral)

    def apply(self, expression: Expression) -> Floats:
        """Return the skin (rows, columns, 3), mm, head coordinates."""
        weights = _weights(expression)
        used = [index for index, name in enumerate(self._names) if weights[name]]
        points = self._points
        if used:
            factors = np.array([weights[self._names[index]] for index in used])
            points = points + np.tensordot(factors, self._fields[used], axes=1)
        return turn_jaw(points, self.jaw_weight, expression.jaw_open)


def turn_jaw(points: Floats, weight: Floats, jaw_open: float) -> Floats:
    """Rotate points (..., 3) about the hinge by weight (...) × the angle of the jaw."""
    if jaw_open == 0:
        return points
    angle = np.radians(JAW_RANGE_DEG) * jaw_open * weight
    y, z = points[..., 1] - JAW_HINGE[0], points[..., 2] - JAW_HINGE[1]
    cosine, sine = np.cos(angle), np.sin(angle)
    result = np.array(points)
    result[..., 1] = JAW_HINGE[0] + cosine * y - sine * z
    result[..., 2] = JAW_HINGE[1] + sine * y + cosine * z
    return result


def _weights(expression: Expression) -> dict[str, float]:
    return {
        "smile": expression.smile,
        "pucker": expression.pucker,
        "apart": expression.lips_apart + 0.25 * max(expression.smile, 0.0),
        "narrow": expression.jaw_open,
        "brow_right": expression.brow_right,
        "brow_left": expression.brow_left,
        "frown": expression.frown,
    }


def _side_of_lips(neutral: NeutralAvatar) -> Floats:
    """(rows, 1): 0 above the mouth, 1 below, between them inside."""
    rows = np.arange(len(neutral.points))[:, None]
    fraction = (rows - neutral.upper_row) / (neutral.lower_row - neutral.upper_row)
    return np.clip(fraction, 0.0, 1.0)


def _jaw_weight(neutral: NeutralAvatar) -> Floats:
    """Return (rows, columns): by which fraction of the jaw's rotation each point moves."""
    layout, points = neutral.layout, neutral.points
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    line = points[neutral.upper_row, :, 1][None]
    s = np.abs(x) / layout.mouth_half
    below = _side_of_lips(neutral)
    corner = 0.42 * smooth_step(0.35, 1.05, s)
    lower = 1 - (1 - 0.42) * smooth_step(0.35, 1.05, s) * np.exp(-(((y - line) / 14) ** 2))
    upper = corner * np.exp(-(((y - line) / 13) ** 2))
    mouth = below * lower + (1 - below) * upper
    # Far from the mouth the cheek hangs between the skull and the jaw.
    cheek = smooth_step(-18.0, layout.chin_y + 32, y)
    beside = smooth_step(1.0, 1.5, s)
    weight = mouth * (1 - beside) + np.maximum(cheek, 0.0) * beside * 0.9
    return weight * smooth_step(-5.0, 35.0, z)


def _fields(neutral: NeutralAvatar) -> tuple[Floats, list[str]]:
    """Return displacements (fields, rows, columns, 3) at full weight, mm, and their names."""
    layout, points = neutral.layout, neutral.points
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    side, ax = np.sign(x), np.abs(x)
    s = ax / layout.mouth_half
    front = smooth_step(20.0, 45.0, z)
    line = points[neutral.upper_row, :, 1][None]
    lips = np.exp(-(((y - line) / 17) ** 2)) * front
    below = _side_of_lips(neutral)
    taper = np.maximum(1 - s**2, 0)

    outside = np.exp(-((np.maximum(s - 1, 0) / 0.55) ** 2)) * lips
    bend = np.clip(s, 0, 1.0) ** 2 * outside
    inward = np.clip(s, 0, 1) ** 1.3 * outside
    cheek = np.exp(-(((ax - 36) / 16) ** 2) - ((y - layout.nose_base_y - 8) / 15) ** 2) * front
    stretch = np.sqrt(taper) * lips * (1.6 * (1 - below) + 0.2 * below)
    smile = np.stack(
        [
            side * (7.0 * inward + 1.0 * cheek),
            5.2 * bend + 2.6 * cheek + stretch,
            -4.2 * bend + 2.2 * cheek - 2.0 * taper * lips,
        ],
        axis=-1,
    )
    narrowing = np.clip(s, 0, 1.0) * np.exp(-((np.maximum(s - 1, 0) / 0.5) ** 2)) * lips
    forward = np.exp(-((s / 0.85) ** 2)) * np.exp(-(((y - line) / 14) ** 2)) * front
    bulge = np.sign(0.5 - below) * np.minimum(np.abs(y - line) / 6, 1) * forward
    pucker = np.stack([-side * 9.5 * narrowing, 1.5 * bulge, 6.5 * forward], axis=-1)
    near = np.exp(-(((y - line) / 9) ** 2)) * front * np.sqrt(taper)
    zero = np.zeros_like(x)
    apart = np.stack([zero, near * (2.4 * (1 - below) - 3.6 * below), zero], axis=-1)
    narrow = np.stack([-side * 2.6 * narrowing, zero, zero], axis=-1)

    over = y - (layout.brow_y - 10.0)
    lift = smooth_step(0.0, 7.0, over) * np.exp(-((np.maximum(over - 8, 0) / 24) ** 2)) * front
    wide = np.exp(-(((ax - layout.eye_x) / 36) ** 4))
    fraction_left = 0.5 + 0.5 * np.tanh(x / 7)
    raised = np.stack([zero, 7.0 * lift * wide, 0.6 * lift * wide], axis=-1)
    inner = np.exp(-(((ax - 13) / 12) ** 2)) * lift
    frown = np.stack([-side * 2.6 * inner, -4.2 * inner, 0.9 * inner], axis=-1)
    fields = {
        "smile": smile,
        "pucker": pucker,
        "apart": apart,
        "narrow": narrow,
        "brow_right": raised * (1 - fraction_left)[..., None],
        "brow_left": raised * fraction_left[..., None],
        "frown": frown,
    }
    return np.stack(list(fields.values())), list(fields)
