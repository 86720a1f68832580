"""The features of a neutral face: height above the smooth head, millimetres along z."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.layout import EYEBALL_RADIUS, LID_THICKNESS, Layout, bump

Floats = NDArray[np.floating]


def relief(identity: AvatarIdentity, layout: Layout, x: Floats, y: Floats) -> Floats:
    """Return the height of bones, cheeks, nose and lips at (x, y) of the front."""
    ax = np.abs(x)
    height = _bones(identity, layout, ax, y) + _cheeks(identity, layout, ax, y)
    height += _mouth(layout, ax, y)
    return smooth_max(height, height + _nose(layout, ax, y), 0.5)


def eyelids(layout: Layout, x: Floats, y: Floats, z: Floats, center_z: float) -> Floats:
    """Return z of the skin, raised over eyeballs and lids."""
    radius = EYEBALL_RADIUS + LID_THICKNESS
    across = (np.abs(x) - layout.eye_x) ** 2 + y**2
    ball = center_z + np.sqrt(np.maximum(radius**2 - across, 0))
    ball = np.where(across < radius**2, ball, center_z - 20 * (np.sqrt(across) - radius))
    return smooth_max(z, ball, 1.2)


def smooth_max(a: Floats, b: Floats, radius: float) -> Floats:
    """Return the maximum, rounded where both are within `radius` of each other."""
    fraction = np.clip(0.5 + 0.5 * (b - a) / radius, 0, 1)
    result: Floats = a + (b - a) * fraction + radius * fraction * (1 - fraction)
    return result


def _bones(identity: AvatarIdentity, layout: Layout, ax: Floats, y: Floats) -> Floats:
    """Brow ridge, eye sockets, cheekbones, chin."""
    eye = layout.eye_x
    inner = eye - layout.eye_half
    ridge_y = layout.brow_y - 3.0
    ridge = identity.brow_ridge_mm * bump(ax, y, (27, ridge_y), (21, 6.5))
    ridge += 0.35 * identity.brow_ridge_mm * bump(ax, y, (0, ridge_y - 2), (12, 7))
    socket = 8.5 * bump(ax, y, (inner - 0.5, 0.5), (9.0, 12))
    socket += 5.0 * bump(ax, y, (eye - 3, 9.5), (16, 5.5))
    socket += 3.5 * bump(ax, y, (eye - 2, -12.5), (15, 6))
    socket += 2.5 * bump(ax, y, (eye + layout.eye_half + 2, 1), (7, 9))
    cheekbone = 3.6 * bump(ax, y, (50, -15), (13, 10))
    temple = -3.0 * bump(ax, y, (66, 28), (14, 18))
    chin = 4.0 * bump(ax, y, (0, layout.chin_y + 11), (14, 9))
    chin -= 3.2 * bump(ax, y, (0, layout.mouth_y - layout.lower_lip - 8), (17, 4.5))
    result: Floats = ridge - socket + cheekbone + temple + chin
    return result


def _cheeks(identity: AvatarIdentity, layout: Layout, ax: Floats, y: Floats) -> Floats:
    base, mouth = layout.nose_base_y, layout.mouth_y
    fullness = identity.cheek_fullness_mm
    apple = (2.6 + 0.4 * fullness) * bump(ax, y, (34, base + 12), (13, 12))
    hollow = (fullness - 2.0) * bump(ax, y, (48, mouth + 6), (13, 16))
    # The fold from the wing of the nose past the corner of the mouth: higher outside.
    top = np.array([layout.nose_half + 1.5, base + 7.0])
    end = np.array([layout.mouth_half + 7.0, mouth - 3.0])
    along = (end - top) / np.hypot(*(end - top))
    distance = (ax - top[0]) * -along[1] + (y - top[1]) * along[0]
    position = ((ax - top[0]) * along[0] + (y - top[1]) * along[1]) / np.hypot(*(end - top))
    window = np.exp(-(((position - 0.4) / 0.55) ** 4)) * np.exp(-((distance / 9) ** 2))
    fold = 1.1 * np.tanh(distance / 2.2) * window
    result: Floats = apple + hollow + fold
    return result


def _nose(layout: Layout, ax: Floats, y: Floats) -> Floats:
    """Ridge, tip, wings and the column between the nostrils."""
    # Heights on a nose of 49 mm whose base lies at -44; protrusion as a fraction of the tip's.
    v = np.interp(y, [layout.nose_base_y - 30, layout.nose_base_y, 5, 40], [-74, -44, 5, 40])
    profile = PchipInterpolator(
        [-50, -47.5, -45.5, -43.8, -42, -40, -37.5, -34.5, -31, -23, -14, -6, 1, 6, 13, 20],
        [0, 0.03, 0.14, 0.34, 0.62, 0.86, 0.98, 1.0, 0.94, 0.73, 0.52, 0.31, 0.15, 0.06, 0, 0],
        extrapolate=False,
    )
    ridge = np.nan_to_num(profile(v)) * layout.nose_protrusion
    scale = layout.nose_half / 17.5
    half = np.interp(
        v, [-45, -42, -38, -32, -24, -14, -4, 6], [5.5, 8.0, 11.0, 11.0, 9.4, 8.6, 8.4, 10.0]
    ) * (0.5 + 0.5 * scale)
    ridge = ridge * np.exp(-((ax / half) ** 2.2))
    # The wing rises steeply outside and from below, and runs softly into the tip.
    wing_x = layout.nose_half - 5.6
    across = (ax - wing_x) / np.where(ax > wing_x, 5.6, 9.0)
    along = (v + 37.0) / np.where(v > -37.0, 9.0, 6.6)
    wings = 0.50 * layout.nose_protrusion * np.exp(-((across**2 + along**2) ** 1.7))
    side = 0.14 * layout.nose_protrusion * bump(ax, v, (13.0 * scale, -27), (6, 9))
    return smooth_max(ridge, wings, 3.5) + side - 0.9


def _mouth(layout: Layout, ax: Floats, y: Floats) -> Floats:
    line, upper, lower = layout.lip_line_y(ax), layout.upper_lip_y(ax), layout.lower_lip_y(ax)
    s = np.clip(ax / layout.mouth_half, 0, 1.3)
    taper = np.maximum(1 - s**2, 0)
    above, below = np.maximum(upper - line, 0.8), np.maximum(line - lower, 0.8)
    roll_up = 2.6 * taper * np.exp(-(((y - line - 0.55 * above) / (0.62 * above + 1.0)) ** 2))
    roll_down = 4.0 * taper * np.exp(-(((y - line + 0.5 * below) / (0.6 * below + 1.2)) ** 2))
    groove = -2.2 * np.maximum(1 - s**4, 0) * np.exp(-(((y - line) / 1.4) ** 2))
    corner = -2.0 * bump(ax, y, (layout.mouth_half + 1, layout.mouth_y), (5, 4.5))
    middle = (layout.nose_base_y + layout.mouth_y + layout.upper_lip) / 2
    reach = (layout.nose_base_y - layout.mouth_y - layout.upper_lip) * 0.5 + 1.5
    philtrum = -0.9 * bump(ax, y, (0, middle), (2.6, reach))
    philtrum += 0.7 * bump(ax, y, (5, middle), (2.2, reach))
    result: Floats = roll_up + roll_down + groove + corner + philtrum
    return result
