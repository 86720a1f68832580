"""Is INT8 worth it here? Error and latency of two models on the same recording.

    python examples/compare_accuracy_latency.py [RECORDING]

Without a recording it takes the one that came along; another one needs landmarks beside it, in
NAME.landmarks.npz, as `evface-edge simulate` writes them. `evface-edge compare` does the same with
intervals, images and a page.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from evface_edge.cli.demo import RECORDING
from evface_edge.compare.accuracy import Entry, run_all
from evface_edge.compare.labelled import load_set
from evface_edge.compare.metrics import face_errors
from evface_edge.metrics import area_under_ced

MODELS = ("evface-s-fp32", "evface-s-int8")


def main(recording: str) -> None:
    entries = [Entry.parse(model) for model in MODELS]
    instants, results = run_all(entries, load_set(Path(recording)), rate_hz=10, seconds=0.4)
    for found in results:
        errors = face_errors(instants, found)
        seen = errors[np.isfinite(errors)]
        sys.stdout.write(
            f"{found.entry.label:15} NME-98 {100 * seen.mean():5.2f} %, AUC@10 "
            f"{area_under_ced(errors):.3f}, {found.latency.fast_ms:6.3f} ms (p10) on one core\n"
        )
    first, second = results
    apart = np.linalg.norm(second.landmarks - first.landmarks, axis=-1)
    sys.stdout.write(
        f"{first.latency.fast_ms / second.latency.fast_ms:.2f} × as fast; landmarks "
        f"{np.nanmean(apart):.2f} px apart at {len(errors)} instants\n"
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(RECORDING))
