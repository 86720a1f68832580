"""Print how far a mouth is open, 10 times a second.

    python examples/mouth_aspect_ratio.py [RECORDING]

Without a recording it uses the bundled one. Each line has the time, the state of the face, and the
mouth aspect ratio (MAR): 0 for a closed mouth, about 1 for one that is wide open.
"""

from __future__ import annotations

import sys

from evface_edge import DEMO_RECORDING, Predictor


def main(recording: str) -> None:
    with Predictor("evface-s", rate_hz=100) as predictor:
        sys.stdout.write(f"{predictor.describe()}\n")
        for index, (t_us, faces) in enumerate(predictor.stream(recording)):
            if index % 10:
                continue
            if not faces:
                sys.stdout.write(f"{t_us / 1e6:7.2f} s  no face\n")
                continue
            face = faces[0]
            ratio = face.mouth_aspect_ratio
            bar = "█" * round(40 * min(ratio, 1.0))
            sys.stdout.write(f"{t_us / 1e6:7.2f} s  {face.state.value:9} {ratio:4.2f} {bar}\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(DEMO_RECORDING))
