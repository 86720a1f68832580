"""A trained detector of faces → the INT8 model that comes with the package.

    evface-edge train detector --faces FOLDER -o runs/detector
    python tools/export_detector.py runs/detector/last.pt --faces FOLDER \\
      --data "300-W (train)" --licence "non-commercial research"
"""

from __future__ import annotations

import argparse
from pathlib import Path

from evface_edge.tracking.detector_network import BUNDLED
from evface_export.detector import export_detector
from evface_training.data.avatars import load_avatars
from evface_training.data.loading import load_faces
from evface_training.data.split import split_faces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--faces", type=Path, action="append", default=[])
    parser.add_argument("--cache", type=Path, help="file that keeps the packed faces")
    parser.add_argument("--data", required=True, help="what it was trained on, for the card")
    parser.add_argument("--licence", required=True, help="the terms of the weights, for the card")
    parser.add_argument("-o", "--output", type=Path, default=BUNDLED)
    options = parser.parse_args()
    faces = load_avatars()
    if options.faces:
        faces, _ = split_faces(load_faces(options.faces, options.cache))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    notes = {"data": options.data, "licence": options.licence, "recipe": "detector"}
    done = export_detector(options.checkpoint, faces, options.output, training=notes)
    print(  # noqa: T201
        f"{done.path}: {done.size_bytes / 1e3:.0f} kB, faces found {done.found_fp32:.1f} % in "
        f"float32, {done.found_int8:.1f} % in INT8"
    )


if __name__ == "__main__":
    main()
