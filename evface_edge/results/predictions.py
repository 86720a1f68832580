"""All faces of one run, as a sequence and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from evface_edge.geometry import SensorSize
from evface_edge.results.aspect_ratios import aspect_ratios
from evface_edge.results.blinks import Blink, BlinkRule
from evface_edge.results.face import FaceLandmarks
from evface_edge.results.output_file import check_output, whole_file
from evface_edge.results.plot import PLOT_SUFFIXES, draw_plot
from evface_edge.results.table import (
    Derived,
    arrow_table,
    blinks_of,
    csv_text,
    derive,
    face_dicts,
    stacked,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Predictions(Sequence[FaceLandmarks]):
    """The faces of one run in order of time: one entry for each window and face. Immutable.

    A slice is again `Predictions`, with the size, model and window count of the whole run.

    Attributes:
        size: of the sensor.
        model: name of the model.
        windows: number of windows, those without a face included.
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

    @cached_property
    def _derived(self) -> Derived:
        return derive(self._faces, BlinkRule())

    def blinks(self, rule: BlinkRule | None = None) -> list[Blink]:
        """The blinks of every face, in order of time.

        Held landmarks count only if their time is new, which means that the eyes were observed. A
        blink that has not ended by the last result is left out. Needs 20 results a second or more.
        """
        ratios = aspect_ratios(stacked(self._faces)[0])
        return blinks_of(self._faces, ratios, rule or BlinkRule())[0]

    def to_dict(self) -> dict[str, Any]:
        """The run in plain numbers, strings, lists and dicts, as `to_json` writes them.

        Returns:
            "model", "sensor" (width, height), "landmark_order", "windows", "blinks" (face_id,
            onset_us, duration_us, depth) and "faces": for each t_us, face_id, state, presence,
            box (x, y, width, height), head_pose (yaw_deg, pitch_deg, roll_deg), aspect_ratios
            (ear_right, ear_left, mar), blink (true, false, or null where unknown), landmarks
            (98 pairs) and sigma (98).
        """
        derived = self._derived
        return {
            **self._about(),
            "blinks": [
                {
                    "face_id": blink.face_id,
                    "onset_us": blink.onset_us,
                    "duration_us": blink.duration_us,
                    "depth": round(blink.depth, 4),
                }
                for blink in derived.blinks
            ],
            "faces": list(face_dicts(self._faces, derived)),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The text of `to_dict()` as JSON; also written to `path` if one is given.

        Raises:
            ConfigError: `path` does not end in .json, or its folder does not exist.
        """
        return _write(json.dumps(self.to_dict(), separators=(",", ":")), path, ".json")

    def to_csv(self, path: str | Path | None = None) -> str:
        """A row of names and a row for each face; also written to `path` if one is given.

        Columns, in µs, sensor pixels and degrees: t_us, face_id, state, presence, box_x, box_y,
        box_width, box_height; yaw_deg, pitch_deg, roll_deg relative to the line of sight;
        ear_right, ear_left, mar; blink (1 during a blink, 0 otherwise), blink_onset_us,
        blink_duration_us; then x0, y0, sigma0 to x97, y97, sigma97. `blink` is empty where the
        landmarks are held and where results are more than 60 ms apart; its onset and duration are
        empty outside blinks.

        Raises:
            ConfigError: `path` does not end in .csv, or its folder does not exist.
        """
        return _write(csv_text(self._faces, self._derived), path, ".csv")

    def to_parquet(self, path: str | Path) -> None:
        """A row for each face, with the columns of `to_csv` except for the landmarks.

        Those are three columns, x, y and sigma, each a list of 98 float32: with pandas,
        `numpy.stack(table["x"])` is (faces, 98). The schema's metadata has model, sensor and number
        of windows as JSON under "evface_edge".

        Raises:
            ConfigError: `path` does not end in .parquet, or its folder does not exist.
            RuntimeUnavailable: pyarrow is not installed (extra `parquet`).
        """
        path = check_output(path, {".parquet"})
        table = arrow_table(self._faces, self._derived, self._about())
        from pyarrow import parquet

        with whole_file(path) as part:
            parquet.write_table(table, part, compression="zstd", use_dictionary=["state"])

    def plot(self, path: str | Path | None = None) -> Figure:
        """EAR, MAR, head pose, presence and σ over time, with blinks and held landmarks marked.

        Args:
            path: where to write it as well: .png, .svg or .pdf.

        Raises:
            ConfigError: another suffix, or a folder that does not exist.
            RuntimeUnavailable: matplotlib is not installed (extra `report`).
        """
        output = None if path is None else check_output(path, PLOT_SUFFIXES)
        figure = draw_plot(self._faces, self._derived, title=self.model)
        if output is not None:
            with whole_file(output) as part:
                figure.savefig(part)
        return figure

    def _about(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "sensor": {"width": self.size.width, "height": self.size.height},
            "landmark_order": "wflw98",
            "windows": self.windows,
        }


def _write(text: str, path: str | Path | None, suffix: str) -> str:
    if path is not None:
        with whole_file(check_output(path, {suffix})) as part:
            part.write_text(text, encoding="utf-8", newline="")
    return text
