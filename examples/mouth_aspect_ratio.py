"""How far a mouth is open, 100 times a second, from the events of a recording.

    python examples/mouth_aspect_ratio.py [RECORDING]

Without a recording it takes the one that came along. Prints one line each tenth of a second: time,
state of the face, and a bar: height of the lips' opening ÷ width of the mouth.
"""

from __future__ import annotations

import sys

import numpy as np

from evface_edge import FaceLandmarks, Predictor, open_events
from evface_edge.cli.demo import RECORDING
from evface_edge.landmarks import INNER_LIPS


def openness(face: FaceLandmarks) -> float:
    """Opening of the inner lips ÷ their width, 0 where they are closed."""
    lips = face.landmarks[INNER_LIPS]  # 0 and 4 are the corners, 1-3 the upper, 7-5 the lower lip
    opening = np.linalg.norm(lips[[7, 6, 5]] - lips[[1, 2, 3]], axis=1).mean()
    return float(opening / np.linalg.norm(lips[4] - lips[0]))


def main(recording: str) -> None:
    with open_events(recording) as source, Predictor("evface-s", rate_hz=100) as predictor:
        sys.stdout.write(f"{predictor.describe()}\n")
        for index, (t_us, faces) in enumerate(predictor.stream(source)):
            if index % 10:
                continue
            if not faces:
                sys.stdout.write(f"{t_us / 1e6:7.2f} s  no face\n")
                continue
            value = openness(faces[0])
            bar = "█" * round(40 * min(value, 1.0))
            sys.stdout.write(f"{t_us / 1e6:7.2f} s  {faces[0].state.value:9} {value:4.2f} {bar}\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(RECORDING))
