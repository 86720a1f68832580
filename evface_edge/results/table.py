"""Predictions as rows: plain dictionaries, CSV, and Parquet.

Pixels are written to 1/1000, probabilities to 1/10000, angles to 1/100: finer than they are known.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evface_edge.errors import RuntimeUnavailable
from evface_edge.landmarks import NUM_LANDMARKS
from evface_edge.results.face import FaceLandmarks

if TYPE_CHECKING:
    import pyarrow as pa

_PIXEL_DIGITS, _PRESENCE_DIGITS, _ANGLE_DIGITS = 3, 4, 2

_POSE_COLUMNS = ("yaw_deg", "pitch_deg", "roll_deg")
_ASPECT_RATIO_COLUMNS = ("right_eye_openness", "left_eye_openness", "mouth_aspect_ratio")
_FACE_COLUMNS = ("t_us", "face_id", "state", "presence")
_BOX_COLUMNS = ("box_x", "box_y", "box_width", "box_height")

CSV_COLUMNS: tuple[str, ...] = (
    *_FACE_COLUMNS,
    *_BOX_COLUMNS,
    *(f"{name}{index}" for index in range(NUM_LANDMARKS) for name in ("x", "y", "sigma")),
)
#: What follows with `pose=True`.
CSV_POSE_COLUMNS = (*_POSE_COLUMNS, *_ASPECT_RATIO_COLUMNS)


def face_dict(face: FaceLandmarks, *, pose: bool = False) -> dict[str, Any]:
    """One face in plain numbers, strings, lists and dicts."""
    box = face.box
    row: dict[str, Any] = {
        "t_us": int(face.t_us),
        "face_id": int(face.face_id),
        "state": face.state.value,
        "presence": round(float(face.presence), _PRESENCE_DIGITS),
        "box": {
            name: round(float(getattr(box, name)), _PIXEL_DIGITS)
            for name in ("x", "y", "width", "height")
        },
        "landmarks": [
            [round(x, _PIXEL_DIGITS), round(y, _PIXEL_DIGITS)] for x, y in face.landmarks.tolist()
        ],
        "sigma": [round(sigma, _PIXEL_DIGITS) for sigma in face.sigma.tolist()],
    }
    if pose:
        head = face.head_pose()
        row["head_pose"] = {
            name: round(float(getattr(head, name)), _ANGLE_DIGITS) for name in _POSE_COLUMNS
        }
        right, left = face.eye_aspect_ratio
        values = (right, left, face.mouth_aspect_ratio)
        names = ("right_eye", "left_eye", "mouth")
        row["openness"] = {
            name: round(value, _PRESENCE_DIGITS) for name, value in zip(names, values, strict=True)
        }
    return row


def csv_text(faces: Iterable[FaceLandmarks], *, pose: bool = False) -> str:
    """One line for each face, after one of names."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*CSV_COLUMNS, *(CSV_POSE_COLUMNS if pose else ())])
    for face in faces:
        row = face_dict(face, pose=pose)
        points = zip(row["landmarks"], row["sigma"], strict=True)
        table.writerow(
            [
                *(row[name] for name in _FACE_COLUMNS),
                *row["box"].values(),
                *(value for (x, y), sigma in points for value in (x, y, sigma)),
                *(row["head_pose"].values() if pose else ()),
                *(row["openness"].values() if pose else ()),
            ]
        )
    return text.getvalue()


def arrow_table(
    faces: Sequence[FaceLandmarks], *, pose: bool = False, about: dict[str, Any]
) -> pa.Table:
    """One row for each face; numbers as they are, unrounded; `about` as JSON in the metadata.

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
    for name in _BOX_COLUMNS:
        side = name.removeprefix("box_")
        columns[name] = pa.array([float(getattr(face.box, side)) for face in faces], pa.float32())
    landmarks = np.array([face.landmarks for face in faces], np.float32)
    landmarks = landmarks.reshape(-1, NUM_LANDMARKS, 2)
    sigma = np.array([face.sigma for face in faces], np.float32).reshape(-1, NUM_LANDMARKS)
    for name, values in (("x", landmarks[..., 0]), ("y", landmarks[..., 1]), ("sigma", sigma)):
        flat = pa.array(np.ascontiguousarray(values).ravel(), pa.float32())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, NUM_LANDMARKS)
    if pose:
        heads = [face.head_pose() for face in faces]
        openness = [(*face.eye_aspect_ratio, face.mouth_aspect_ratio) for face in faces]
        for name in _POSE_COLUMNS:
            columns[name] = pa.array([getattr(head, name) for head in heads], pa.float32())
        for index, name in enumerate(_ASPECT_RATIO_COLUMNS):
            columns[name] = pa.array([values[index] for values in openness], pa.float32())
    return pa.table(columns).replace_schema_metadata({"evface_edge": json.dumps(about)})
