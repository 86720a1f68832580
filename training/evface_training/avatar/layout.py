"""Positions and curves of the features of a neutral face, in head coordinates.

Head coordinates: millimetres, x to the subject's left (right in the image), y up, z forward. The
pupils lie on y = 0, the ears near z = 0. All curves are functions of |x|: a face is symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evface_training.avatar.identity import AvatarIdentity

Floats = NDArray[np.floating]

NASION_Y = 5.0
EYEBALL_RADIUS = 13.0
LID_THICKNESS = 1.3
IRIS_RADIUS = 5.9


@dataclass(frozen=True)
class Layout:
    """Positions and curves of the features of one identity, from its proportions."""

    nose_base_y: float
    mouth_y: float
    chin_y: float
    hairline_y: float
    eye_x: float
    eye_half: float
    eye_height: float
    eye_slope: float  # rise of the outer corner per mm
    nose_half: float
    nose_protrusion: float
    mouth_half: float
    upper_lip: float
    lower_lip: float
    brow_y: float
    brow_thickness: float
    brow_arch: float

    @classmethod
    def of(cls, identity: AvatarIdentity) -> Layout:
        nose_base_y = NASION_Y - identity.nose_length_mm
        mouth_y = nose_base_y - identity.philtrum_mm
        return cls(
            nose_base_y=nose_base_y,
            mouth_y=mouth_y,
            chin_y=mouth_y - identity.chin_length_mm,
            hairline_y=identity.forehead_height_mm,
            eye_x=identity.eye_distance_mm / 2,
            eye_half=identity.eye_width_mm / 2,
            eye_height=identity.eye_height_mm,
            eye_slope=float(np.tan(np.radians(identity.eye_tilt_deg))),
            nose_half=identity.nose_width_mm / 2,
            nose_protrusion=identity.nose_protrusion_mm,
            mouth_half=identity.mouth_width_mm / 2,
            upper_lip=identity.upper_lip_mm,
            lower_lip=identity.lower_lip_mm,
            brow_y=identity.brow_height_mm,
            brow_thickness=identity.brow_thickness_mm,
            brow_arch=identity.brow_arch_mm,
        )

    def remap_y(self, y: Floats) -> Floats:
        """Convert heights on the average face to the same features of this one."""
        average = [-200.0, -108.0, -63.5, -44.0, NASION_Y, 118.0, 200.0]
        low = self.chin_y - 92.0
        here = [low, self.chin_y, self.mouth_y, self.nose_base_y, NASION_Y, 118.0, 200.0]
        return np.interp(y, average, here)

    # Eyes. s runs from -1 at the inner corner to 1 at the outer one.

    def eye_axis_y(self, s: Floats) -> Floats:
        """The line through both corners."""
        return s * self.eye_half * self.eye_slope - 1.2

    def upper_lid_y(self, s: Floats, blink: float | Floats = 0.0) -> Floats:
        """The edge of the upper lid; highest a little inside of the middle."""
        opened = 0.55 * self.eye_height * lid_arch(s, -0.12)
        closed = -0.30 * self.eye_height * lid_arch(s, 0.1)
        return self.eye_axis_y(s) + (1 - blink) * opened + blink * closed

    def lower_lid_y(self, s: Floats, blink: float | Floats = 0.0) -> Floats:
        """The edge of the lower lid; lowest a little outside of the middle."""
        opened = -0.43 * self.eye_height * lid_arch(s, 0.14)
        closed = -0.30 * self.eye_height * lid_arch(s, 0.1)
        return self.eye_axis_y(s) + (1 - blink) * opened + blink * closed

    # Brows. t runs from 0 at the inner end to 1 at the outer one.

    def brow_x(self, t: Floats) -> Floats:
        return (self.eye_x - self.eye_half - 3.0) + t * (2 * self.eye_half + 17.0)

    def brow_t(self, x: Floats) -> Floats:
        return (np.abs(x) - self.eye_x + self.eye_half + 3.0) / (2 * self.eye_half + 17.0)

    def brow_middle_y(self, t: Floats) -> Floats:
        t = np.clip(t, 0, 1)
        arch = np.sin(np.pi * t**1.1)
        middle: Floats = self.brow_y - 3.5 - 1.5 * t + (self.brow_arch + 3.0) * arch
        return middle

    def brow_half(self, t: Floats) -> Floats:
        """Half its height: full at the inner end, pointed at the outer one."""
        t = np.clip(t, 0, 1)
        taper = (1 - 0.85 * t**2.4) * (0.75 + 0.25 * np.clip(t / 0.25, 0, 1))
        half: Floats = 0.5 * self.brow_thickness * taper
        return half

    # Mouth. s is |x| / mouth_half.

    def lip_line_y(self, x: Floats) -> Floats:
        s = np.clip(np.abs(x) / self.mouth_half, 0, 1.6)
        bow = 0.9 * np.exp(-((s / 0.22) ** 2)) - 0.7 * np.exp(-(((s - 0.42) / 0.3) ** 2))
        return self.mouth_y - bow + 0.3 * s

    def upper_lip_y(self, x: Floats) -> Floats:
        """Upper edge of the red of the lips, with Cupid's bow."""
        s = np.clip(np.abs(x) / self.mouth_half, 0, 1)
        dip = 1 - 0.2 * np.exp(-((s / 0.13) ** 2))
        shape = dip * (1 - s**1.25) * (1 + 0.35 * s)
        return self.lip_line_y(x) + self.upper_lip * np.maximum(shape, 0)

    def lower_lip_y(self, x: Floats) -> Floats:
        s = np.clip(np.abs(x) / self.mouth_half, 0, 1)
        return self.lip_line_y(x) - self.lower_lip * (1 - s**2.1) ** 0.8


def lid_arch(s: Floats, skew: float) -> Floats:
    """The arch of a lid: 0 at both corners (s = ±1), 1 near the middle; skew moves the top."""
    s = np.clip(s, -1, 1)
    moved = s - skew * (1 - s**2)
    arch: Floats = np.maximum(1 - moved**2, 0) ** 0.85
    return arch


def bump(x: Floats, y: Floats, at: tuple[float, float], size: tuple[float, float]) -> Floats:
    """A Gaussian of height 1."""
    result: Floats = np.exp(-(((x - at[0]) / size[0]) ** 2) - ((y - at[1]) / size[1]) ** 2)
    return result


def smooth_step(low: float, high: float, x: Floats) -> Floats:
    """0 below `low`, 1 above `high`, smooth in between."""
    fraction = np.clip((x - low) / (high - low), 0, 1)
    result: Floats = fraction * fraction * (3 - 2 * fraction)
    return result
