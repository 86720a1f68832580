"""All faces of one run, as a sequence and as a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from evface_edge.geometry import SensorSize
from evface_edge.landmarks import NUM_LANDMARKS
from evface_edge.results.face import FaceLandmarks, FaceState
from evface_edge.results.openness import Blink, BlinkRule, find_blinks
from evface_edge.results.output_file import check_output, whole_file

#: Pixels are written to 1/1000, probabilities to 1/10000: finer than any landmark is known.
_PIXEL_DIGITS, _PRESENCE_DIGITS = 3, 4

CSV_COLUMNS: tuple[str, ...] = (
    "t_us",
    "face_id",
    "state",
    "presence",
    "box_x",
    "box_y",
    "box_width",
    "box_height",
    *(f"{name}{index}" for index in range(NUM_LANDMARKS) for name in ("x", "y", "sigma")),
)


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

        Held landmarks do not count: nothing was seen then.
        """
        found: list[Blink] = []
        for face_id in sorted({face.face_id for face in self}):
            seen = [f for f in self if f.face_id == face_id and f.state is not FaceState.HELD]
            times = np.array([face.t_us for face in seen], np.int64)
            openness = np.array([sum(face.eye_openness) / 2 for face in seen])
            found += find_blinks(times, openness, face_id=face_id, rule=rule)
        return sorted(found, key=lambda blink: blink.onset_us)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, as `to_json` writes them."""
        return {
            "model": self.model,
            "sensor": {"width": self.size.width, "height": self.size.height},
            "landmark_order": "wflw98",
            "windows": self.windows,
            "faces": [_face_dict(face) for face in self],
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The text of `to_dict()` as JSON; also written to `path`, where one is given.

        Raises:
            ConfigError: `path` does not end in .json, or its folder does not exist.
        """
        text = json.dumps(self.to_dict(), separators=(",", ":"))
        return _written(text, path, ".json")

    def to_csv(self, path: str | Path | None = None) -> str:
        """One row for each face, with a row of names (`CSV_COLUMNS`) first; as `to_json`.

        Columns: t_us, face_id, state, presence, box_x, box_y, box_width, box_height, then x0, y0,
        sigma0 to x97, y97, sigma97; in µs and sensor pixels.

        Raises:
            ConfigError: `path` does not end in .csv, or its folder does not exist.
        """
        text = io.StringIO(newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow(CSV_COLUMNS)
        for face in map(_face_dict, self):
            points = zip(face["landmarks"], face["sigma"], strict=True)
            table.writerow(
                [
                    *(face[name] for name in CSV_COLUMNS[:4]),
                    *face["box"].values(),
                    *(value for (x, y), sigma in points for value in (x, y, sigma)),
                ]
            )
        return _written(text.getvalue(), path, ".csv")


def _face_dict(face: FaceLandmarks) -> dict[str, Any]:
    box = face.box
    return {
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


def _written(text: str, path: str | Path | None, suffix: str) -> str:
    if path is not None:
        with whole_file(check_output(path, {suffix})) as part:
            part.write_text(text, encoding="utf-8", newline="")
    return text
