"""The 98 landmarks of WFLW: fixed places on the skin, and the pupils on the eyeballs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, cKDTree

from evface_edge.landmarks import CONTOUR, LEFT_PUPIL, MIRROR, NUM_LANDMARKS, RIGHT_PUPIL
from evface_training.avatar.layout import EYEBALL_RADIUS, Layout
from evface_training.avatar.mesh import NeutralAvatar
from evface_training.avatar.scene import Expression

Floats = NDArray[np.floating]

_LID_STEPS = np.linspace(0.0, 1.0, 9)
#: Lid points of the right eye from 60 on, as position s (-1 inner, 1 outer corner) on a lid.
_LID_S = np.array([1.0, 0.5, 0.0, -0.5, -1.0, -0.5, 0.0, 0.5])


class LandmarkModel:
    """The 98 points on one avatar in any expression."""

    def __init__(self, neutral: NeutralAvatar) -> None:
        self._neutral = neutral
        layout = neutral.layout
        chart = _Chart(neutral)
        self._cells = np.zeros((NUM_LANDMARKS, 2))  # row, column on the grid of the skin
        self._cells[CONTOUR] = _contour(neutral)
        for index, (x, y) in _fixed_points(layout).items():
            self._cells[index] = chart.find(np.array([[x, y]]))[0]
        for index, x in _inner_lips(layout).items():
            row = neutral.lower_row if index > 92 else neutral.upper_row
            self._cells[index] = row, chart.column(row, x)
        self._lids = np.stack([chart.find(_lid_points(layout, step)) for step in _LID_STEPS])
        self._half_fields()

    def _half_fields(self) -> None:
        """Set the left half to the mirror image of the right half on the grid."""
        columns = self._neutral.points.shape[1]
        right = np.flatnonzero(self._cells[:, 0] == 0)
        mirrored = self._cells[MIRROR[right]]
        self._cells[right] = np.stack([mirrored[:, 0], columns - 1 - mirrored[:, 1]], axis=-1)

    def cells(self, expression: Expression) -> Floats:
        """Return row and column of each landmark on the grid (98, 2); those of pupils are 0."""
        cells = self._cells.copy()
        columns = self._neutral.points.shape[1]
        for start, blink, mirrored in (
            (60, expression.blink_right, False),
            (68, expression.blink_left, True),
        ):
            upper = _at_step(self._lids, blink)
            lower = _at_step(self._lids, max(blink, squint(expression)))
            lid = np.concatenate([upper[:5], lower[5:]])
            if mirrored:
                lid = np.stack([lid[:, 0], columns - 1 - lid[:, 1]], axis=-1)
                cells[MIRROR[60:68]] = lid
            else:
                cells[start : start + 8] = lid
        return cells

    def points(self, expression: Expression, skin: Floats, cells: Floats | None = None) -> Floats:
        """Return head coordinates (98, 3), mm, on the deformed skin (rows, columns, 3).

        Args:
            cells: instead of those of `cells(expression)`.
        """
        points = sample_grid(skin, self.cells(expression) if cells is None else cells)
        x, z = self._neutral.layout.eye_x, self._neutral.eye_z
        centers = np.array([[-x, 0.0, z], [x, 0.0, z]])
        points[[RIGHT_PUPIL, LEFT_PUPIL]] = centers + EYEBALL_RADIUS * expression.gaze
        return points


def squint(expression: Expression) -> float:
    """Return by which fraction the lower lids rise in a smile."""
    return 0.35 * max(expression.smile, 0.0)


def sample_grid(grid: Floats, cells: Floats) -> Floats:
    """Sample a grid (rows, columns, D) bilinearly at cells (N, 2)."""
    row = np.clip(cells[:, 0].astype(int), 0, grid.shape[0] - 2)
    column = np.clip(cells[:, 1].astype(int), 0, grid.shape[1] - 2)
    down, right = (cells[:, 0] - row)[:, None], (cells[:, 1] - column)[:, None]
    top = grid[row, column] * (1 - right) + grid[row, column + 1] * right
    low = grid[row + 1, column] * (1 - right) + grid[row + 1, column + 1] * right
    result: Floats = top * (1 - down) + low * down
    return result


def _at_step(table: Floats, value: float) -> Floats:
    position = value * (len(table) - 1)
    first = min(int(position), len(table) - 2)
    fraction = position - first
    result: Floats = (1 - fraction) * table[first] + fraction * table[first + 1]
    return result


class _Chart:
    """Conversion of (x, y) on the front of the neutral face to row and column of its grid."""

    def __init__(self, neutral: NeutralAvatar) -> None:
        self._points, self._neutral = neutral.points, neutral
        front = (np.abs(neutral.angles) < 1.4)[None] & ~neutral.inside[:, None]
        self._nodes = np.argwhere(np.broadcast_to(front, neutral.points.shape[:2]))
        self._tree = cKDTree(neutral.points[self._nodes[:, 0], self._nodes[:, 1], :2])

    def find(self, places: Floats) -> Floats:
        """Return cells (N, 2) of places (N, 2), by Newton's method from the nearest vertex."""
        cells = self._nodes[self._tree.query(places)[1]].astype(float)
        below = cells[:, 0] >= self._neutral.lower_row
        away = np.where(below, 0.25, -0.25)[:, None]  # never into the mouth
        for _ in range(12):
            here = sample_grid(self._points, cells)[:, :2]
            rows = sample_grid(self._points, cells + away * [1.0, 0.0])[:, :2]
            columns = sample_grid(self._points, cells + away * [0.0, 1.0])[:, :2]
            jacobian = np.stack([rows - here, columns - here], axis=-1) / away[..., None]
            move = np.linalg.solve(jacobian, (places - here)[..., None])[..., 0]
            cells = cells + np.clip(move, -1.0, 1.0) * 0.9
            cells[below, 0] = np.maximum(cells[below, 0], self._neutral.lower_row)
            cells[~below, 0] = np.minimum(cells[~below, 0], self._neutral.upper_row - 1e-6)
        return cells

    def column(self, row: int, x: float) -> float:
        middle = np.flatnonzero(np.abs(self._neutral.angles) < 1.4)
        return float(np.interp(x, self._points[row, middle, 0], middle))


def _fixed_points(layout: Layout) -> dict[int, tuple[float, float]]:
    """Return brow, nose and outer lips of the right half and the middle, as (x, y)."""
    points: dict[int, tuple[float, float]] = {}

    def put(index: int, x: float, y: Floats | float) -> None:
        points[index] = (-x, float(y))

    # Brow: upper edge from the outer tip 33 to the inner end 37, lower edge back to the tip.
    for index, t, edge in zip(
        range(33, 42),
        (1.0, 0.75, 0.5, 0.25, 0.03, 0.03, 0.25, 0.5, 0.75),
        (0, 1, 1, 1, 1, -1, -1, -1, -1),
        strict=True,
    ):
        at = np.array(t)
        y = layout.brow_middle_y(at) + edge * layout.brow_half(at)
        put(index, float(layout.brow_x(at)), y)
    base, half = layout.nose_base_y, layout.nose_half
    tip_y = base + 8.0 * (5 - base) / 49.0
    for index, fraction in zip(range(51, 55), (0.0, 1 / 3, 2 / 3, 1.0), strict=True):
        put(index, 0.0, 3.0 + fraction * (tip_y - 3.0))
    put(55, half * 0.82, base + 1.4)
    put(56, half * 0.44, base - 0.6)
    put(57, 0.0, base - 1.8)
    mouth = layout.mouth_half
    put(76, mouth, layout.lip_line_y(np.array(mouth)))
    for index, x in ((77, 0.60), (78, 0.25), (79, 0.0)):
        put(index, x * mouth, layout.upper_lip_y(np.array(x * mouth)))
    for index, x in ((87, 0.66), (86, 0.33), (85, 0.0)):
        put(index, x * mouth, layout.lower_lip_y(np.array(x * mouth)))
    return points


def _inner_lips(layout: Layout) -> dict[int, float]:
    """Return x of the inner lip points of the right half and the middle."""
    mouth = layout.mouth_half
    return {88: -0.87 * mouth, 89: -0.34 * mouth, 90: 0.0, 94: 0.0, 95: -0.34 * mouth}


def _lid_points(layout: Layout, closed: float) -> Floats:
    """Return points 60 to 67 of the right eye (8, 2), with both lids closed by a fraction."""
    x = -(layout.eye_x + _LID_S * layout.eye_half)
    upper = layout.upper_lid_y(_LID_S, closed)
    lower = layout.lower_lid_y(_LID_S, closed)
    y = np.where(np.arange(8) < 5, upper, lower)
    return np.stack([x, y], axis=-1)


def _contour(neutral: NeutralAvatar, distance: float = 700.0) -> Floats:
    """Return cells of the 33 points at equal distances along the outline in a frontal view."""
    points = neutral.points
    rows, columns = np.meshgrid(*(np.arange(n) for n in points.shape[:2]), indexing="ij")
    low = (points[..., 1] < 3.0) & (np.abs(neutral.angles) < 1.75)[None] & ~neutral.inside[:, None]
    picked = np.stack([rows[low], columns[low]], axis=-1)
    projected = points[low][:, :2] * (distance / (distance - points[low][:, 2:]))
    hull = ConvexHull(projected).vertices  # counter-clockwise
    place = projected[hull]
    start = int(np.argmax(-place[:, 0] + 0.02 * place[:, 1]))
    order = np.roll(hull, -start)
    place = projected[order]
    end = int(np.argmax(place[:, 0] + 0.02 * place[:, 1]))
    path = order[: end + 1]
    cells, place = picked[path].astype(float), projected[path]
    top = place[:, 1] < 0.5
    cells, place = cells[top], place[top]
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(place, axis=0).T))])
    at = np.linspace(0, length[-1], 33)
    cells = np.stack([np.interp(at, length, cells[:, i]) for i in (0, 1)], axis=-1)
    mirrored = np.stack([cells[::-1, 0], points.shape[1] - 1 - cells[::-1, 1]], axis=-1)
    result: Floats = (cells + mirrored) / 2
    return result
