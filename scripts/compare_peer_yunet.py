"""A peer: events → frames by a simple integrator → YuNet's five points; against ours.

What one would do without an event-based network. Needs OpenCV (pip install
'evface-edge[train]') and YuNet's ONNX file (github.com/opencv/opencv_zoo, face_detection_yunet):

    python scripts/compare_peer_yunet.py yunet.onnx
    python scripts/compare_peer_yunet.py yunet.onnx --data recordings --json peer.json

Both are judged at the same instants by the five points that they share: pupils, tip of the nose,
corners of the mouth (÷ distance of the pupils). The integrator sums polarities that fade with
`--fade-ms`, and the frame is enlarged to YuNet's favour. In AUC@10, no face is a failure.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from evface_edge.bench.table import text_table
from evface_edge.cli.demo import RECORDING
from evface_edge.compare.accuracy import Entry, run_all
from evface_edge.compare.labelled import LabelledVideo, load_set
from evface_edge.events import read_events
from evface_edge.geometry import SensorSize
from evface_edge.landmarks import to_5
from evface_edge.metrics import area_under_ced, bootstrap_mean

OURS = ("evface-s-fp32", "evface-s-int8")
_SIDE_PX = 640


def frames(video: LabelledVideo, instants_us: Any, fade_ms: float) -> Any:
    """(T, height, width) uint8: polarities that fade, grey where nothing happens."""
    events, size = read_events(video.path)
    total = np.zeros((size.height, size.width), np.float32)
    before = int(instants_us[0]) - 100_000
    for now_us in instants_us:
        start, stop = np.searchsorted(events["t"], [before, now_us], side="right")
        part = events[start:stop]
        total *= np.exp((before - now_us) * 1e-3 / fade_ms)
        weight = np.exp((part["t"] - now_us) * 1e-3 / fade_ms) * (2.0 * part["p"] - 1)
        np.add.at(total, (part["y"], part["x"]), weight.astype(np.float32))
        yield (128 + 40 * np.clip(total, -3, 3)).astype(np.uint8), size
        before = int(now_us)


def detect(network: Any, frame: Any, size: SensorSize) -> Any:
    """(5, 2) sensor pixels of the surest face, or NaN."""
    scale = _SIDE_PX / max(size.width, size.height)
    picture = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    network.setInputSize((picture.shape[1], picture.shape[0]))
    _, found = network.detect(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    if found is None or not len(found):
        return np.full((5, 2), np.nan)
    best = found[np.argmax(found[:, -1])]
    return (best[4:14].reshape(5, 2) + 0.5) / scale - 0.5


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("yunet", type=Path, help="the ONNX file")
    parser.add_argument("--data", type=Path, default=RECORDING)
    parser.add_argument("--rate-hz", type=float, default=25.0)
    parser.add_argument("--fade-ms", type=float, nargs="+", default=[30.0, 100.0, 300.0])
    parser.add_argument("--score", type=float, default=0.5, help="of a face, at least")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    videos = load_set(given.data)
    instants, ours = run_all([Entry.parse(m) for m in OURS], videos, rate_hz=given.rate_hz)
    answers = {o.entry.label: (to_5(o.landmarks), float(np.median(o.update_ms))) for o in ours}
    for fade_ms in given.fade_ms:
        network = cv2.FaceDetectorYN.create(str(given.yunet), "", (320, 320), given.score)
        points, took_ms = [], []
        for index, video in enumerate(videos):
            made = frames(video, instants.t_us[instants.recording == index], fade_ms)
            before = time.perf_counter()
            for frame, size in made:
                points.append(detect(network, frame, size))
                took_ms.append(1e3 * (time.perf_counter() - before))
                before = time.perf_counter()
        answers[f"integrator {fade_ms:g} ms + YuNet"] = (np.stack(points), np.median(took_ms))
    truth = to_5(instants.truth)
    rows = [_row(name, found, truth, ms, instants.groups) for name, (found, ms) in answers.items()]
    heading = list(rows[0])
    table = text_table(heading, [[str(value) for value in row.values()] for row in rows])
    sys.stdout.write(f"{table}\n\n{len(truth)} instants; NME-5 where a face was found\n")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0


def _row(name: str, found: Any, truth: Any, ms: float, groups: Any) -> dict[str, Any]:
    pupils = np.linalg.norm(truth[:, 0] - truth[:, 1], axis=-1)
    errors = np.linalg.norm(found - truth, axis=-1).mean(-1) / pupils
    seen = np.isfinite(errors)
    interval = bootstrap_mean(100 * errors[seen], groups[seen])
    return {
        "what": name,
        "found %": round(100 * float(seen.mean()), 1),
        "NME-5 %": round(interval.mean, 2) if seen.any() else None,
        "low": round(interval.low, 2) if seen.any() else None,
        "high": round(interval.high, 2) if seen.any() else None,
        "AUC@10": round(area_under_ced(np.where(seen, errors, np.inf)), 3),
        "ms an instant": round(float(ms), 2),
    }


if __name__ == "__main__":
    sys.exit(main())
