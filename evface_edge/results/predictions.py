"""All faces of one run, as a sequence and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from evface_edge.geometry import SensorSize
from evface_edge.results.aspect_ratios import Blink, BlinkRule, find_blinks
from evface_edge.results.face import FaceLandmarks, FaceState
from evface_edge.results.output_file import check_output, whole_file
from evface_edge.results.table import arrow_table, csv_text, face_dict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Predictions(Sequence[FaceLandmarks]):
    """The faces of one run in order of time: one entry for each window and face. Immutable.

    A slice is again `Predictions`, with the size, model and window count of the whole run.

    Attributes:
        size: of the sensor.
        model: name of the model.
        windows: how many windows were examined, those without a face included.
    """

    def __init__(
        self, faces: Iterable[FaceLandmarks], *, size: SensorSize, model: str, windows: int
    ) -> None:
        self._faces = tuple(faces)
        self._size = size
        self._model = model
        self._windows = windows

    @property
    def size(self) -> SensorSize:
        return self._size

    @property
    def model(self) -> str:
        return self._model

    @property
    def windows(self) -> int:
        return self._windows

    def __len__(self) -> int:
        return len(self._faces)

    @overload
    def __getitem__(self, index: int) -> FaceLandmarks: ...

    @overload
    def __getitem__(self, index: slice) -> Predictions: ...

    def __getitem__(self, index: int | slice) -> FaceLandmarks | Predictions:
        if isinstance(index, slice):
            return Predictions(
                self._faces[index], size=self.size, model=self.model, windows=self.windows
            )
        return self._faces[index]

    def __repr__(self) -> str:
        return (
            f"<Predictions of {self.model}: {len(self)} faces in {self.windows} windows, "
            f"sensor {self.size}>"
        )

    def blinks(self, rule: BlinkRule | None = None) -> list[Blink]:
        """The blinks of every face, in order of time.

        Of held faces only those count whose eyes were seen: their time moved on.
        """
        found: list[Blink] = []
        for face_id in sorted({face.face_id for face in self}):
            seen: list[FaceLandmarks] = []
            for face in self:
                if face.face_id == face_id and (
                    face.state is not FaceState.HELD or not seen or face.t_us > seen[-1].t_us
                ):
                    seen.append(face)
            times = np.array([face.t_us for face in seen], np.int64)
            openness = np.array([sum(face.eye_aspect_ratio) / 2 for face in seen])
            found += find_blinks(times, openness, face_id=face_id, rule=rule)
        return sorted(found, key=lambda blink: blink.onset_us)

    def to_dict(self, *, pose: bool = False) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, as `to_json` writes them.

        Args:
            pose: whether each face also has `head_pose` (yaw_deg, pitch_deg, roll_deg, relative to
                the line of sight) and `openness` (right_eye, left_eye, mouth); takes 1 ms a face.
        """
        return {**self._about(), "faces": [face_dict(face, pose=pose) for face in self]}

    def to_json(self, path: str | Path | None = None, *, pose: bool = False) -> str:
        """The text of `to_dict()` as JSON; also written to `path`, where one is given.

        Raises:
            ConfigError: `path` does not end in .json, or its folder does not exist.
        """
        text = json.dumps(self.to_dict(pose=pose), separators=(",", ":"))
        return _written(text, path, ".json")

    def to_csv(self, path: str | Path | None = None, *, pose: bool = False) -> str:
        """One row for each face, with a row of names (`table.CSV_COLUMNS`) first; as `to_json`.

        Columns: t_us, face_id, state, presence, box_x, box_y, box_width, box_height, then x0, y0,
        sigma0 to x97, y97, sigma97; in µs and sensor pixels. With `pose`, then yaw_deg, pitch_deg,
        roll_deg, right_eye_openness, left_eye_openness, mouth_aspect_ratio.

        Raises:
            ConfigError: `path` does not end in .csv, or its folder does not exist.
        """
        return _written(csv_text(self, pose=pose), path, ".csv")

    def to_parquet(self, path: str | Path, *, pose: bool = False) -> None:
        """One row for each face, with the columns of `to_csv` but for the landmarks.

        Those are three columns, x, y and sigma, each a list of 98 float32: with pandas,
        `numpy.stack(table["x"])` is (faces, 98). Model, sensor and number of windows stand as JSON
        in the metadata of the schema, under "evface_edge".

        Raises:
            ConfigError: `path` does not end in .parquet, or its folder does not exist.
            RuntimeUnavailable: pyarrow is not installed (extra `parquet`).
        """
        path = check_output(path, {".parquet"})
        table = arrow_table(self, pose=pose, about=self._about())
        from pyarrow import parquet

        with whole_file(path) as part:
            parquet.write_table(table, part, compression="zstd", use_dictionary=["state"])

    def plot(self, path: str | Path | None = None, *, pose: bool = True) -> Figure:
        """Openness of eyes and mouth, head pose, presence and σ over time; blinks are marked.

        Args:
            path: also written there: .png, .svg or .pdf.
            pose: whether the pose of the head is fitted, 1 ms a face.

        Raises:
            ConfigError: another suffix, or a folder that does not exist.
            RuntimeUnavailable: matplotlib is not installed (extra `report`).
        """
        from evface_edge.results.plot import PLOT_SUFFIXES, draw_plot

        place = None if path is None else check_output(path, PLOT_SUFFIXES)
        figure = draw_plot(self, pose=pose)
        if place is not None:
            with whole_file(place) as part:
                figure.savefig(part)
        return figure

    def _about(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "sensor": {"width": self.size.width, "height": self.size.height},
            "landmark_order": "wflw98",
            "windows": self.windows,
        }


def _written(text: str, path: str | Path | None, suffix: str) -> str:
    if path is not None:
        with whole_file(check_output(path, {suffix})) as part:
            part.write_text(text, encoding="utf-8", newline="")
    return text
