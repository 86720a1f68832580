"""Events against frames: our landmarks and those of RGB landmarkers on the same clips.

    PEERS_PYTHON=/tmp/peers/bin/python python -m benchmarks peers \\
        --mediapipe face_landmarker.task --yunet yunet.onnx --data FACES -o results

Peers live in an environment of their own, named by PEERS_PYTHON, so that nothing of theirs meets
ours; whichever of them is missing there is left out, and said so:

    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install mediapipe                      MediaPipe, and OpenCV for YuNet
    /tmp/peers/bin/pip install torch==2.13.0 event-pienet     images rebuilt from events, learned

Model files: MediaPipe's Face Landmarker (face_landmarker.task) and YuNet (opencv_zoo,
face_detection_yunet). Ours need 'evface-edge[train]' for the simulation. FACES is a folder of
annotated faces as docs/how-to/train.md describes them; without it, avatars are shown, on which
no RGB landmarker was trained.

Clips and the peers' answers are kept in --work and taken from there the next time, so that after a
change of our models only ours are measured anew. Writes peers.json, peers.csv, peers.html.
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

from benchmarks.peers import drawing, figures, ours, points, worker
from benchmarks.peers import report as reporting
from benchmarks.peers.clips import Clips, Wanted, clips
from evface_edge.bench.machine import describe_machine
from evface_edge.bench.output import csv_text, make_folder, text_table, write_text
from evface_edge.errors import ConfigError, EvfaceError

PEERS_PYTHON = "PEERS_PYTHON"
MODELS = ("evface-s-fp32", "evface-s-int8")
HEADLINE = f"evface-s-int8, {ours.FOLLOWED}"
VERSION = 1
#: How each way is drawn among the curves.
_STYLES: dict[str, dict[str, Any]] = {
    HEADLINE: {"color": "#2a9d8f", "lw": 2.6, "marker": "o"},
    f"evface-s-int8, {ours.SEARCHED}": {"color": "#2a9d8f", "lw": 1.2, "ls": ":", "marker": "o"},
    "RGB → MediaPipe": {"color": "#d1495b", "lw": 2, "marker": "s"},
    "RGB stretched → MediaPipe": {"color": "#e07a3f", "lw": 1.6, "marker": "s", "ls": "--"},
    "summed 100 ms → MediaPipe": {"color": "#7a7f8c", "lw": 1.2, "marker": "^", "ls": "-."},
    "PIE-Net → MediaPipe": {"color": "#4361a8", "lw": 1.4, "marker": "v", "ls": "-."},
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="compare_peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", default="avatars", help="heads, or a folder of annotated faces")
    parser.add_argument("--people", type=int, default=20, help="faces, each in 16 clips")
    parser.add_argument("--stills", type=int, default=120, help="of others, to translate points")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="append", help="of ours, instead of both bundled ones")
    parser.add_argument("--mediapipe", type=Path, help="face_landmarker.task")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file")
    parser.add_argument(
        "--search",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether the last model searches for the face as well",
    )
    parser.add_argument(
        "--pie-net",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="half of all the time goes into it",
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="for each network alone; 0: none"
    )
    parser.add_argument("--work", type=Path, help="for what is kept; by default OUTPUT/work")
    parser.add_argument("-o", "--output", type=Path, default=Path("results"))
    given = parser.parse_args()
    try:
        report, images = compare(given)
    except EvfaceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    texts = {
        "peers.json": json.dumps(report, indent=1, ensure_ascii=False) + "\n",
        "peers.csv": csv_text(reporting.csv_rows(report)),
        "peers.html": reporting.page(report, images),
    }
    for name, text in texts.items():
        write_text(given.output / name, text)
    sys.stdout.write(text_table(reporting.HEADING, reporting.cells_of_rows(report)) + "\n\n")
    for against in report["overtakes"]:
        sys.stdout.write(f"{report['headline']['ours']} against {against}\n")
        sys.stdout.write(text_table(*reporting.grid(report, against)) + "\n\n")
    sys.stdout.write("\n".join(reporting.notes(report)) + "\n\n")
    sys.stdout.write("Where we lose:\n" + "\n".join(report["losses"] or ["nowhere"]) + "\n")
    sys.stdout.write(f"written to {given.output}: {', '.join(texts)}\n")
    return 0


def compare(given: argparse.Namespace) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Everything, as JSON and as images."""
    make_folder(given.output)
    work = make_folder(given.work or given.output / "work")
    models = tuple(given.model or MODELS)
    wanted = Wanted(given.data, given.people, given.stills, given.seed)
    shown, path = clips(wanted, work, _say)
    answers, about = _peers(path, given)
    candidates, landmarks = _ours(models, shown, given.search)
    peers, translations, translated = _theirs(answers, shown, about["left_out"])
    everyone = [*candidates, *peers]
    bins = figures.Bins.of(shown.lux, shown.speed_deg_per_s, shown.person)
    headline = next((c for c in candidates if c.name == HEADLINE), candidates[0])
    error = "nme51" if any("nme51" in peer.errors for peer in peers) else "nme5"
    rivals = {
        "RGB landmarkers on RGB frames": [p for p in peers if p.source == "RGB"],
        "RGB landmarkers on frames rebuilt from events": [
            p for p in peers if p.source == "rebuilt"
        ],
    }
    won = {
        name: figures.overtakes(headline, some, bins, error)
        for name, some in rivals.items()
        if some
    }
    rows = figures.rows(everyone, shown.person)
    times = {} if given.seconds <= 0 else ours.network_times(models, shown, given.seconds)
    names = [one.name for one in everyone]
    drawn = {name: style for name, style in _STYLES.items() if name in names}
    report = {
        "version": VERSION,
        "machine": describe_machine() | {f"peers: {k}": v for k, v in about["versions"].items()},
        "data": {
            "clips": len(shown),
            "people": given.people,
            "source": _source(given.data),
            "stills": len(shown.stills),
            "side_px": shown.size.width,
            "seed": given.seed,
        },
        "headline": {"ours": headline.name, "error": error, "drawn": drawn},
        "rows": rows,
        "cells": {name: figures.cells(everyone, bins, name) for name in points.ERRORS},
        "overtakes": won,
        "losses": [line for entries in won.values() for line in figures.losses(rows, entries)],
        "translations": translations,
        "network_cpu_ms": times,
        "left_out": about["left_out"],
    }
    report["losses"] = list(dict.fromkeys(report["losses"]))
    images = {"curves": drawing.curves(report)}
    if won:
        images["board"] = drawing.board(report)
    images["examples"] = _examples(shown, bins, landmarks, answers, translated)
    return report, images


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _source(data: str) -> str:
    return "avatars" if data == "avatars" else "photographs of people kept for validation"


def _peers(path: Path, given: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answers of the worker, and what it says about itself."""
    python = os.environ.get(PEERS_PYTHON)
    answers: dict[str, Any] = {}
    about: dict[str, Any] = {"left_out": {}, "versions": {}}
    if python is None:
        about["left_out"]["all peers"] = f"{PEERS_PYTHON} names no Python that has them: see --help"
        return answers, about
    arguments = []
    for option in ("mediapipe", "yunet"):
        file = getattr(given, option)
        if file is not None:
            if not file.is_file():
                raise ConfigError(f"--{option}", str(file), "a file")
            arguments += [f"--{option}", str(file)]
    for part in ([], ["--pie-net"]) if given.pie_net else ([],):
        found = _ask(python, path, [*arguments, *part])
        said = json.loads(str(found.pop("about")))
        answers |= found
        for key, values in about.items():
            values |= said[key]
    if not given.pie_net:
        about["left_out"]["PIE-Net"] = "not asked for, --no-pie-net"
    return answers, about


def _ask(python: str, path: Path, arguments: list[str]) -> dict[str, Any]:
    """What one run of the worker wrote, now or earlier."""
    worker = Path(__file__).with_name("worker.py")
    asked = hashlib.sha256(repr((python, arguments, worker.read_bytes())).encode()).hexdigest()
    kept = path.with_name(path.name.replace("clips-", f"peers-{asked[:8]}-"))
    if not kept.is_file():
        _say(f"peers: {' '.join(arguments)}")
        partial = kept.with_name(f"{kept.name}.partial.npz")
        done = subprocess.run([python, str(worker), str(path), str(partial), *arguments])
        if done.returncode:
            raise ConfigError(PEERS_PYTHON, python, f"a worker that ends well, not {done}")
        partial.replace(kept)
    with np.load(kept, allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files}


def _ours(
    models: tuple[str, ...], shown: Clips, search: bool
) -> tuple[list[figures.Candidate], dict[str, Any]]:
    truth = points.common_truth(shown.points)
    candidates, landmarks = [], {}
    for model in models:
        # Searching takes the most time, and is shown of the last one alone.
        both = search and model == models[-1]
        for name in (ours.FOLLOWED, ours.SEARCHED) if both else (ours.FOLLOWED,):
            _say(f"ours: {model}, {name}")
            found = ours.look(model, shown, follow=name == ours.FOLLOWED)
            common = points.common_truth(found.points)
            errors = {key: points.ERRORS[key](common[key], truth[key]) for key in truth}
            label = f"{model}, {name}"
            candidates.append(figures.Candidate(label, "events", errors, found.cpu_ms))
            landmarks[label] = found.points
    return candidates, landmarks


def _theirs(
    answers: dict[str, Any], shown: Clips, left_out: dict[str, str]
) -> tuple[list[figures.Candidate], dict[str, Any], dict[str, Any]]:
    """→ (candidates, how their points were translated, translated points for the images)."""
    truth = points.common_truth(shown.points)
    stills_truth = points.common_truth(shown.still_points)
    candidates: list[figures.Candidate] = []
    said: dict[str, Any] = {}
    translated: dict[str, Any] = {}
    for landmarker, axis in points.AXES.items():
        if f"stills/{landmarker}" not in answers:
            continue
        ways: dict[str, points.Translation] = {}
        try:
            for error in ("nme51", "nme5") if landmarker == "MediaPipe" else ("nme5",):
                ways[error] = points.fit(
                    answers[f"stills/{landmarker}"],
                    stills_truth[error],
                    axis,
                    points.ERRORS[error],
                    as_they_are=landmarker == "YuNet",
                )
        except ValueError as reason:
            left_out[landmarker] = str(reason)
            continue
        said[landmarker] = {
            error: {
                "vertices": way.vertices.tolist(),
                "offsets": np.round(way.offsets, 4).tolist(),
                "left_percent": way.left_percent,
                "raw_percent": way.raw_percent,
            }
            for error, way in ways.items()
        }
        for key in [k for k in answers if k.startswith("points/") and k.endswith(landmarker)]:
            frame = key.split("/")[1]
            found = {error: way(answers[key]) for error, way in ways.items()}
            errors = {error: points.ERRORS[error](found[error], truth[error]) for error in found}
            cpu_ms = answers[f"found_ms/{frame}/{landmarker}"]
            source = "RGB" if frame.startswith("RGB") else "rebuilt"
            if frame != "RGB":
                cpu_ms = cpu_ms + answers[f"made_ms/{frame}"]
            name = f"{frame} → {landmarker}"
            candidates.append(figures.Candidate(name, source, errors, cpu_ms))
            translated[name] = found.get("nme51", found["nme5"])
    return candidates, said, translated


def _examples(
    shown: Clips, bins: figures.Bins, landmarks: Any, answers: Any, translated: Any
) -> bytes:
    """The first face in the four corners of light and of speed."""
    corners = [(3, 0), (3, 3), (0, 0), (0, 3)]
    chosen = [
        int(np.flatnonzero(bins.cell(*corner))[0]) for corner in corners if bins.cell(*corner).any()
    ]
    columns: dict[str, Any] = {"RGB": (shown.rgb, np.full_like(shown.points, np.nan))}
    bright = np.zeros_like(shown.rgb)
    for index in chosen:
        bright[index] = worker.stretched(shown.rgb[index])
    for frame, images in (("RGB", shown.rgb), ("RGB stretched", bright)):
        name = f"{frame} → MediaPipe"
        if name in translated:
            columns[name] = (images, translated[name])
    if len(columns) > 1:
        del columns["RGB"]
    for frame in ("summed 100 ms", "PIE-Net"):
        name = f"{frame} → MediaPipe"
        if name in translated:
            columns[name] = (answers[f"frame/{frame}"], translated[name])
    for name in [label for label in landmarks if ours.FOLLOWED in label][-1:]:
        columns[name] = (None, landmarks[name])
    return drawing.examples(shown, chosen, columns)


if __name__ == "__main__":
    sys.exit(main())
