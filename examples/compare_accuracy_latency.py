"""Compare the error and the latency of the float and the INT8 model on one recording.

    python examples/compare_accuracy_latency.py [RECORDING]

Without a recording it uses the bundled one. Another recording needs landmarks beside it, in
NAME.landmarks.npz, as `evface-edge simulate` writes them. `evface-edge compare` does the same, with
confidence intervals, plots and a report.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from evface_edge import DEMO_RECORDING
from evface_edge.compare import Entry, face_errors, load_set, run_all
from evface_edge.metrics import area_under_ced

MODELS = ("evface-s-fp32", "evface-s-int8")


def main(recording: str) -> None:
    entries = [Entry.parse(model) for model in MODELS]
    instants, results = run_all(entries, load_set(Path(recording)), rate_hz=10, seconds=0.4)
    for result in results:
        errors = face_errors(instants, result)
        finite = errors[np.isfinite(errors)]
        sys.stdout.write(
            f"{result.entry.label:15} NME-98 {100 * finite.mean():5.2f} %, AUC@10 "
            f"{area_under_ced(errors):.3f}, {result.latency.fast_ms:6.3f} ms (p10) on one core\n"
        )
    first, second = results
    distance_px = np.linalg.norm(second.landmarks - first.landmarks, axis=-1)
    sys.stdout.write(
        f"speed-up {first.latency.fast_ms / second.latency.fast_ms:.2f} ×; landmarks differ by "
        f"{np.nanmean(distance_px):.2f} px on average at {len(errors)} instants\n"
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(DEMO_RECORDING))
