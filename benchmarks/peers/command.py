"""Compare our landmarks on events with RGB face landmarkers, on the same simulated clips.

    PEERS_PYTHON=/tmp/peers/bin/python python -m benchmarks peers \\
        --mediapipe face_landmarker.task --yunet yunet.onnx --data FACES -o results

The peers run in an environment of their own, whose Python is named by PEERS_PYTHON. Peers that are
not installed there are left out, and the report says so:

    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install mediapipe                      MediaPipe, and OpenCV for YuNet
    /tmp/peers/bin/pip install torch==2.13.0 event-pienet     frames rebuilt from events

Model files: MediaPipe's Face Landmarker (face_landmarker.task) and YuNet (opencv_zoo,
face_detection_yunet). The simulation needs 'evface-edge[train]'. FACES is a folder of annotated
faces as described in docs/how-to/train.md; by default avatars are used.

Clips and the peers' results are cached in OUTPUT/work. Writes peers.json, board.png and curves.png,
and prints Markdown tables.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import drawing, metrics, ours, points
from benchmarks.peers.clips import Clips, ClipSet, load_or_make
from benchmarks.peers.report import markdown
from evface_edge.bench.machine import describe_machine
from evface_edge.bench.output import make_folder, write_json
from evface_edge.errors import ConfigError, EvfaceError

PEERS_PYTHON = "PEERS_PYTHON"
MODELS = ("evface-s-fp32", "evface-s-int8")
PEER_KINDS = {
    "RGB landmarkers on RGB frames": "RGB",
    "RGB landmarkers on frames rebuilt from events": "rebuilt",
}


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    yes_no = argparse.BooleanOptionalAction
    parser.add_argument("--data", default="avatars", help="avatars, or a folder of faces")
    parser.add_argument("--people", type=int, default=20, help="number of faces, 16 clips each")
    parser.add_argument("--stills", type=int, default=120, help="stills that align the points")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="append", help="our models; default: two bundled ones")
    parser.add_argument("--mediapipe", type=Path, help="face_landmarker.task")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file")
    parser.add_argument("--search", action=yes_no, default=True, help="also search for the face")
    parser.add_argument("--pie-net", action=yes_no, default=True, help="half of the whole time")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each network; 0: skip")
    parser.add_argument("-o", "--output", type=Path, default=Path("results"))
    arguments = parser.parse_args()
    try:
        report = compare(arguments)
    except EvfaceError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    write_json(arguments.output / "peers.json", report)
    (arguments.output / "curves.png").write_bytes(drawing.curves(report))
    if report["by_bin"]:
        (arguments.output / "board.png").write_bytes(drawing.board(report))
    sys.stdout.write(markdown(report))
    return 0


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the report, for JSON."""
    work = make_folder(arguments.output / "work")
    models = tuple(arguments.model or MODELS)
    clip_set = ClipSet(arguments.data, arguments.people, arguments.stills, arguments.seed)
    clips, path = load_or_make(clip_set, work, _progress)
    answers, left_out, versions = _run_peers(path, arguments)
    mine = _our_candidates(models, clips, arguments.search)
    peers, alignments = peer_candidates(answers, clips, left_out)
    candidates = [*mine, *peers]
    bins = metrics.Bins.of(clips.lux, clips.speed_deg_per_s, clips.person)
    chosen = next((c for c in mine if c.name == f"{MODELS[1]}, {ours.FOLLOWED}"), mine[0])
    error = "nme51" if any("nme51" in peer.errors for peer in peers) else "nme5"
    by_kind = {
        name: [peer for peer in peers if peer.source == source]
        for name, source in PEER_KINDS.items()
    }
    seconds = arguments.seconds
    return {
        "machine": describe_machine() | {f"peers: {k}": v for k, v in versions.items()},
        "data": {
            "clips": len(clips),
            "people": arguments.people,
            "source": "avatars" if arguments.data == "avatars" else "photographs",
            "stills": len(clips.stills),
            "side_px": clips.size.width,
            "seed": arguments.seed,
        },
        "ours": chosen.name,
        "error": error,
        "rows": metrics.overall(candidates, clips.person),
        "cells": {name: metrics.by_bin(candidates, bins, name) for name in points.ERRORS},
        "by_bin": {
            name: metrics.compare_by_bin(chosen, some, bins, error)
            for name, some in by_kind.items()
            if some
        },
        "alignments": alignments,
        "network_cpu_ms": ours.network_times(models, clips, seconds) if seconds > 0 else {},
        "left_out": left_out,
    }


def _progress(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _run_peers(
    path: Path, arguments: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Run the workers; return their arrays, what was left out and why, and package versions."""
    python = os.environ.get(PEERS_PYTHON)
    if python is None:
        return {}, {"all peers": f"{PEERS_PYTHON} is not set; see --help"}, {}
    options = []
    for name in ("mediapipe", "yunet"):
        file = getattr(arguments, name)
        if file is not None:
            if not file.is_file():
                raise ConfigError(f"--{name}", str(file), "a file")
            options += [f"--{name}", str(file)]
    answers: dict[str, Any] = {}
    left_out: dict[str, str] = {} if arguments.pie_net else {"PIE-Net": "--no-pie-net"}
    versions: dict[str, str] = {}
    for extra in ([], ["--pie-net"]) if arguments.pie_net else ([],):
        arrays = _run_worker(python, path, [*options, *extra])
        about = json.loads(str(arrays.pop("about")))
        answers |= arrays
        left_out |= about["left_out"]
        versions |= about["versions"]
    return answers, left_out, versions


def _run_worker(python: str, path: Path, options: list[str]) -> dict[str, Any]:
    """Return the arrays of one run of the worker, or those of an earlier run from the cache."""
    worker = Path(__file__).with_name("worker.py")
    key = hashlib.sha256(repr((python, options, worker.read_bytes())).encode()).hexdigest()
    cached = path.with_name(path.name.replace("clips-", f"peers-{key[:8]}-"))
    if not cached.is_file():
        _progress(f"peers: {' '.join(options)}")
        partial = cached.with_name(f"{cached.name}.partial.npz")
        done = subprocess.run([python, str(worker), str(path), str(partial), *options])
        if done.returncode:
            raise ConfigError(PEERS_PYTHON, python, f"a worker with exit code 0, not {done}")
        partial.replace(cached)
    with np.load(cached, allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files}


def _our_candidates(models: tuple[str, ...], clips: Clips, search: bool) -> list[metrics.Candidate]:
    truth = points.common_points(clips.points)
    candidates = []
    for model in models:
        # The search takes the most time, so that only the last model runs it.
        both = search and model == models[-1]
        for mode in (ours.FOLLOWED, ours.SEARCHED) if both else (ours.FOLLOWED,):
            _progress(f"ours: {model}, {mode}")
            result = ours.predict(model, clips, follow=mode == ours.FOLLOWED)
            common = points.common_points(result.points)
            errors = {key: points.ERRORS[key](common[key], truth[key]) for key in truth}
            candidates.append(
                metrics.Candidate(f"{model}, {mode}", "events", errors, result.cpu_ms)
            )
    return candidates


def peer_candidates(
    answers: dict[str, Any], clips: Clips, left_out: dict[str, str]
) -> tuple[list[metrics.Candidate], dict[str, Any]]:
    """Return the peers' candidates and how their points were aligned with the common ones."""
    truth = points.common_points(clips.points)
    stills_truth = points.common_points(clips.still_points)
    candidates: list[metrics.Candidate] = []
    alignments: dict[str, Any] = {}
    for peer, axis in points.AXES.items():
        if f"stills/{peer}" not in answers:
            continue
        stills, same_points = answers[f"stills/{peer}"], peer == "YuNet"
        try:
            aligned = {
                error: points.fit(
                    stills, stills_truth[error], axis, points.ERRORS[error], same_points=same_points
                )
                for error in (("nme5",) if same_points else ("nme51", "nme5"))
            }
        except ValueError as reason:
            left_out[peer] = str(reason)
            continue
        alignments[peer] = {
            error: {"aligned_percent": one.aligned_percent, "raw_percent": one.raw_percent}
            for error, one in aligned.items()
        }
        for key in [key for key in answers if key.startswith("points/") and key.endswith(peer)]:
            frame = key.split("/")[1]
            errors = {
                error: points.ERRORS[error](one(answers[key]), truth[error])
                for error, one in aligned.items()
            }
            cpu_ms = answers[f"found_ms/{frame}/{peer}"]
            if frame != "RGB":
                cpu_ms = cpu_ms + answers[f"made_ms/{frame}"]
            source = "RGB" if frame.startswith("RGB") else "rebuilt"
            candidates.append(metrics.Candidate(f"{frame} → {peer}", source, errors, cpu_ms))
    return candidates, alignments


if __name__ == "__main__":
    sys.exit(main())
