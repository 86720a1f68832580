"""Predictions as tables: plain dictionaries, CSV, and Arrow for Parquet.

Text is rounded to less than the landmarks' accuracy: pixels to 1/1000, presence and ratios to
1/10,000, angles to 1/100.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evface_edge.errors import RuntimeUnavailable
from evface_edge.head_pose import fit_head_poses
from evface_edge.landmarks import NUM_LANDMARKS
from evface_edge.results.aspect_ratios import aspect_ratios
from evface_edge.results.blinks import Blink, BlinkRule, find_blinks
from evface_edge.results.face import FaceLandmarks, FaceState

if TYPE_CHECKING:
    import pyarrow as pa

_PIXEL_DIGITS, _RATIO_DIGITS, _ANGLE_DIGITS = 3, 4, 2
_BOX = ("x", "y", "width", "height")
_POSE = ("yaw_deg", "pitch_deg", "roll_deg")
_ASPECT_RATIOS = ("ear_right", "ear_left", "mar")
_BLINK = ("blink", "blink_onset_us", "blink_duration_us")

#: Columns with one value a face, in this order.
FACE_COLUMNS: tuple[str, ...] = (
    *("t_us", "face_id", "state", "presence"),
    *(f"box_{name}" for name in _BOX),
    *_POSE,
    *_ASPECT_RATIOS,
    *_BLINK,
)
CSV_COLUMNS: tuple[str, ...] = (
    *FACE_COLUMNS,
    *(f"{name}{index}" for index in range(NUM_LANDMARKS) for name in ("x", "y", "sigma")),
)


class Derived(NamedTuple):
    """What follows from the landmarks of N faces.

    Attributes:
        angles_deg: (N, 3) yaw, pitch and roll, relative to the line of sight.
        ratios: (N, 3) EAR right, EAR left and MAR.
        blinks: of all faces, in order of time.
        blink: N entries: the blink under way, False if there is none, None if that is unknown.
    """

    angles_deg: NDArray[np.floating]
    ratios: NDArray[np.floating]
    blinks: list[Blink]
    blink: list[Blink | bool | None]


def derive(faces: Sequence[FaceLandmarks], rule: BlinkRule) -> Derived:
    """Head poses, aspect ratios and blinks of all faces of a run, in order of time."""
    landmarks, sigma = stacked(faces)
    poses = fit_head_poses(landmarks, sigma)
    angles = np.array([[getattr(pose, name) for name in _POSE] for pose in poses])
    ratios = aspect_ratios(landmarks)
    return Derived(angles.reshape(-1, 3), ratios, *blinks_of(faces, ratios, rule))


def blinks_of(
    faces: Sequence[FaceLandmarks], ratios: NDArray[np.floating], rule: BlinkRule
) -> tuple[list[Blink], list[Blink | bool | None]]:
    """`Derived.blinks` and `Derived.blink`."""
    rows: dict[int, list[int]] = {}
    for row, face in enumerate(faces):
        own = rows.setdefault(face.face_id, [])
        # Held landmarks keep their time, unless the eyes were observed.
        if face.state is not FaceState.HELD or not own or face.t_us > faces[own[-1]].t_us:
            own.append(row)
    blinks: list[Blink] = []
    blink: list[Blink | bool | None] = [None] * len(faces)
    for face_id, own in sorted(rows.items()):
        t_us = np.array([faces[row].t_us for row in own], np.int64)
        found = find_blinks(t_us, ratios[own, :2].mean(axis=1), face_id=face_id, rule=rule)
        blinks += found
        for row, now_us, gap_us in zip(own, t_us.tolist(), _nearest_us(t_us).tolist(), strict=True):
            if gap_us <= rule.min_us:
                under_way = (each for each in found if each.onset_us <= now_us < each.end_us)
                blink[row] = next(under_way, False)
    blinks.sort(key=lambda each: each.onset_us)
    return blinks, blink


def _nearest_us(t_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Time from each sample to its nearest neighbour, µs."""
    far = np.iinfo(np.int64).max
    gaps = np.concatenate([[far], np.diff(t_us), [far]])
    nearest: NDArray[np.int64] = np.minimum(gaps[:-1], gaps[1:])
    return nearest


def stacked(faces: Sequence[FaceLandmarks]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Landmarks (N, 98, 2) and σ (N, 98) of N faces."""
    landmarks = np.array([face.landmarks for face in faces], np.float32)
    sigma = np.array([face.sigma for face in faces], np.float32)
    return landmarks.reshape(-1, NUM_LANDMARKS, 2), sigma.reshape(-1, NUM_LANDMARKS)


def face_dicts(faces: Iterable[FaceLandmarks], derived: Derived) -> Iterable[dict[str, Any]]:
    """Each face in plain numbers, strings, lists and dicts."""
    for face, angles, ratios, blink in zip(
        faces, derived.angles_deg, derived.ratios, derived.blink, strict=True
    ):
        yield {
            "t_us": int(face.t_us),
            "face_id": int(face.face_id),
            "state": face.state.value,
            "presence": round(float(face.presence), _RATIO_DIGITS),
            "box": {name: round(float(getattr(face.box, name)), _PIXEL_DIGITS) for name in _BOX},
            "head_pose": _rounded(_POSE, angles, _ANGLE_DIGITS),
            "aspect_ratios": _rounded(_ASPECT_RATIOS, ratios, _RATIO_DIGITS),
            "blink": None if blink is None else bool(blink),
            "landmarks": [[round(v, _PIXEL_DIGITS) for v in xy] for xy in face.landmarks.tolist()],
            "sigma": [round(value, _PIXEL_DIGITS) for value in face.sigma.tolist()],
        }


def _rounded(names: Sequence[str], values: NDArray[np.floating], digits: int) -> dict[str, float]:
    rounded = (round(value, digits) for value in values.tolist())
    return dict(zip(names, rounded, strict=True))


def csv_text(faces: Sequence[FaceLandmarks], derived: Derived) -> str:
    """A row of `CSV_COLUMNS`, then a row for each face."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(CSV_COLUMNS)
    for row, blink in zip(face_dicts(faces, derived), derived.blink, strict=True):
        points = zip(row["landmarks"], row["sigma"], strict=True)
        table.writerow(
            [
                *(row[name] for name in FACE_COLUMNS[:4]),
                *row["box"].values(),
                *row["head_pose"].values(),
                *row["aspect_ratios"].values(),
                *_blink_cells(blink),
                *(value for (x, y), sigma in points for value in (x, y, sigma)),
            ]
        )
    return text.getvalue()


def _blink_cells(blink: Blink | bool | None) -> tuple[int | None, int | None, int | None]:
    if isinstance(blink, Blink):
        return 1, blink.onset_us, blink.duration_us
    return None if blink is None else 0, None, None


def arrow_table(
    faces: Sequence[FaceLandmarks], derived: Derived, about: dict[str, Any]
) -> pa.Table:
    """A row for each face, unrounded, with landmarks as lists; `about` is JSON in the metadata.

    Raises:
        RuntimeUnavailable: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise RuntimeUnavailable(
            "writing .parquet needs pyarrow: pip install 'evface-edge[parquet]', or write .csv"
        ) from None
    columns: dict[str, Any] = {
        "t_us": pa.array([int(face.t_us) for face in faces], pa.int64()),
        "face_id": pa.array([int(face.face_id) for face in faces], pa.int32()),
        "state": pa.array([face.state.value for face in faces], pa.string()),
        "presence": pa.array([float(face.presence) for face in faces], pa.float32()),
    }
    for name in _BOX:
        edges = [float(getattr(face.box, name)) for face in faces]
        columns[f"box_{name}"] = pa.array(edges, pa.float32())
    for names, values in ((_POSE, derived.angles_deg), (_ASPECT_RATIOS, derived.ratios)):
        for name, column in zip(names, values.T, strict=True):
            columns[name] = pa.array(column, pa.float32())
    cells = [_blink_cells(blink) for blink in derived.blink]
    for index, (name, kind) in enumerate(
        zip(_BLINK, (pa.bool_(), pa.int64(), pa.int64()), strict=True)
    ):
        columns[name] = pa.array([row[index] for row in cells]).cast(kind)
    landmarks, sigma = stacked(faces)
    for name, points in (("x", landmarks[..., 0]), ("y", landmarks[..., 1]), ("sigma", sigma)):
        flat = pa.array(np.ascontiguousarray(points).ravel(), pa.float32())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, NUM_LANDMARKS)
    return pa.table(columns).replace_schema_metadata({"evface_edge": json.dumps(about)})
