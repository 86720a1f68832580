"""The head without features: closed rows, lofted through a table of sections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from evface_training.avatar.identity import AvatarIdentity
from evface_training.avatar.layout import Layout

Floats = NDArray[np.floating]

# One line a row, from the crown to below the chin. Millimetres of an average head:
# y in front, at the side, behind | z in front, at the side, behind | half width | fullness of
# the front (0 is an ellipse, above is squarer, below is more pointed).
_SECTIONS = np.array(
    [
        [119, 119, 119, -12, -12, -12, 0, 0.0],
        [116, 116, 116, 20, -12, -44, 27, 0.0],
        [108, 108, 107, 45, -11, -63, 46, 0.0],
        [96, 96, 94, 66, -10, -79, 60, 0.05],
        [80, 80, 78, 82, -10, -90, 69, 0.1],
        [60, 60, 58, 92, -9, -97, 75, 0.13],
        [40, 40, 34, 96.5, -7, -98, 75.5, 0.13],
        [22, 22, 8, 97, -3, -94, 74, 0.14],
        [5, 5, -18, 92.5, 2, -86, 71.5, 0.17],
        [-12, -11, -38, 91.5, 6, -77, 70, 0.16],
        [-30, -26, -56, 93, 9, -66, 68, 0.08],
        [-45, -37, -69, 96, 11, -57, 65.5, 0.02],
        [-60, -47, -78, 98, 13, -50, 62.5, -0.02],
        [-75, -57, -84, 96.5, 15, -52, 59, -0.05],
        [-90, -66, -88, 96, 16, -48, 54.5, -0.08],
        [-101, -73, -90, 94, 15, -44, 50.5, -0.10],
        [-108, -79, -91, 85, 13, -40, 46, -0.10],
        [-109, -84, -92, 68, 9, -34, 40, -0.06],
        [-106, -88, -93, 42, 4, -26, 31, 0.0],
        [-98, -98, -98, 0, 0, 0, 0, 0.0],
    ],
    dtype=np.float64,
)


def column_angles() -> Floats:
    """Angles of the columns, radians: 0 in front, -π and π behind; dense in front."""
    middle = np.arange(0.0, 17.0, 1.7)
    front = np.arange(17.0, 52.0, 2.3)
    side = np.arange(52.0, 104.0, 4.3)
    back = np.linspace(107.0, 180.0, 6)
    half = np.radians(np.concatenate([middle, front, side, back]))
    return np.concatenate([-half[:0:-1], half])


def row_levels() -> tuple[Floats, int]:
    """Positions of the rows in the table of sections, and the index of the row of the lips."""
    crown = np.linspace(0.0, 5.5, 11, endpoint=False)
    face = [
        _levels_of_y(np.arange(high, low, -step))
        for high, low, step in ((50, 30, 5), (30, -26, 2.6), (-26, -50, 1.5))
    ]
    lips_y = -63.5
    above = _levels_of_y(np.linspace(-50, lips_y, 10, endpoint=False))
    below = _levels_of_y(np.linspace(lips_y, -80, 12, endpoint=False))
    chin = np.concatenate([_levels_of_y(np.arange(-80, -101, -3.0)), np.arange(15.0, 17.0, 0.22)])
    under = np.linspace(17.0, 19.0, 5)
    levels = np.concatenate([crown, *face, above, below, chin, under])
    return levels, len(crown) + sum(map(len, face)) + len(above)


def _levels_of_y(y: Floats) -> Floats:
    """Positions in the table at heights in front, above the chin."""
    rows = _SECTIONS[:17]
    return np.interp(-y, -rows[:, 0], np.arange(len(rows)))


def loft(identity: AvatarIdentity, layout: Layout, levels: Floats, angles: Floats) -> Floats:
    """Return the smooth head (rows, columns, 3), mm."""
    table = _sections(identity, layout)
    level = PchipInterpolator(np.arange(len(table)), table, axis=0)(levels)
    y_front, y_side, y_back, z_front, z_side, z_back, half_width, fullness = level.T[:, :, None]
    sine, cosine = np.sin(angles)[None], np.cos(angles)[None]
    ahead = np.maximum(cosine, 0) * (1 + fullness * sine**2)
    behind = np.maximum(-cosine, 0) * (1 + 0.12 * sine**2)
    x = half_width * sine
    y = np.where(
        cosine >= 0, y_side + (y_front - y_side) * cosine, y_side - (y_back - y_side) * cosine
    )
    z = z_side + (z_front - z_side) * ahead + (z_back - z_side) * behind
    return np.stack(np.broadcast_arrays(x, y, z), axis=-1)


def _sections(identity: AvatarIdentity, layout: Layout) -> Floats:
    table = _SECTIONS.copy()
    y = table[:, 0]
    table[:, :3] = layout.remap_y(table[:, :3])
    jaw = np.clip((-20.0 - y) / 60.0, 0, 1)
    table[:, 6] *= 1.025 * identity.face_width * (1 + (identity.jaw_width - 1) * jaw)
    chin = np.exp(-(((y + 97.0) / 14.0) ** 2))
    chin[17:] = 0
    table[:, 3] += identity.chin_protrusion_mm * chin
    return table
