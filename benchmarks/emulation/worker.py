"""Run networks, and the demo, on an emulated processor: `python worker.py FOLDER`.

Every import is emulated too, so this imports as little as it can. FOLDER holds job.json and
inputs.npz; outputs.npz and report.json are written to it. See `benchmarks.emulation.jobs`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core._multiarray_umath import __cpu_features__ as cpu_features

import evface_runtimes
from evface_runtimes.errors import EvfaceError


def main(folder: Path) -> None:
    job = json.loads((folder / "job.json").read_text())
    inputs = dict(np.load(folder / "inputs.npz"))
    outputs: dict[str, Any] = {}
    errors: dict[str, str] = {}
    descriptions: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for run in job["runs"]:
        key, started = run["key"], time.perf_counter()
        try:
            with evface_runtimes.load(
                run["path"], runtime=run["runtime"], device="cpu", threads=1
            ) as network:
                descriptions[key] = network.describe()
                (name,) = network.inputs
                results = [network.run({name: window[None]}) for window in inputs[run["inputs"]]]
        except EvfaceError as error:
            errors[key] = str(error)
        else:
            for output in network.outputs:
                outputs[f"{key} {output}"] = np.concatenate([each[output] for each in results])
        seconds[key] = time.perf_counter() - started
    if job["demo"]:
        outputs["demo"] = demo(**job["demo"])
    np.savez(folder / "outputs.npz", **outputs)
    report = {
        "features": sorted(name for name, found in cpu_features.items() if found),
        "errors": errors,
        "descriptions": descriptions,
        "seconds": seconds,
    }
    (folder / "report.json").write_text(json.dumps(report))


def demo(model: str, duration_us: int, at_us: list[int]) -> Any:
    """The landmarks of a Predictor on the first part of the demo recording: (N, 98, 2) pixels."""
    from evface_edge import DEMO_RECORDING, Predictor
    from evface_edge.events import read_events

    events, size = read_events(DEMO_RECORDING)
    events = events[events["t"] <= events["t"][0] + duration_us]
    with Predictor(model) as predictor:
        faces = predictor.run(events, size=size, at_us=at_us)
    return np.array([face.landmarks for face in faces], np.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
