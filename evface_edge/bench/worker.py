"""One measurement in a process of its own: `python -m evface_edge.bench.worker REQUEST`.

A fresh process has no memory of another network, shows what the first inference costs, and can
crash alone. The request is JSON; the last line that is printed is the answer, JSON too.
"""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.errors import EvfaceError, RuntimeUnavailable


def main(request: str) -> int:
    """Print the answer to one request."""
    asked = json.loads(request)
    kind: Callable[[dict[str, Any]], dict[str, Any]] = _KINDS[asked.pop("kind")]
    try:
        answer = {"status": "ok", **kind(asked)}
    except RuntimeUnavailable as error:
        answer = {"status": "absent", "reason": str(error)}
    except EvfaceError as error:
        answer = {"status": "failed", "reason": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def network(asked: dict[str, Any]) -> dict[str, Any]:
    """The network alone, on one tensor again and again."""
    import evface_runtimes
    from evface_edge.bench.energy import energy_meter
    from evface_edge.bench.latency import measure

    pin(asked["threads"])
    entry = {asked["input"]: np.load(asked["tensor"])}
    base_mb = peak_memory_mb()
    began = time.perf_counter()
    runtime = evface_runtimes.load(
        asked["path"], runtime=asked["runtime"], device=asked["device"], threads=asked["threads"]
    )
    loaded = time.perf_counter()
    with runtime:
        runtime.run(entry)
        first = time.perf_counter()
        gc.disable()
        with energy_meter() as meter:
            for _ in range(asked["warm_up"]):
                runtime.run(entry)
            before_j = meter.read_j() if meter is not None else 0.0
            latency = measure(
                {"it": lambda: runtime.run(entry)}, seconds=asked["seconds"], rounds=1, warm_up=0
            )["it"]
            spent_j = meter.read_j() - before_j if meter is not None else None
        return {
            "runs_on": runtime.describe(),
            "base_mb": base_mb,
            "peak_mb": peak_memory_mb(),
            "load_ms": 1e3 * (loaded - began),
            "first_ms": 1e3 * (first - loaded),
            "samples_ms": [round(float(sample), 5) for sample in latency.samples_ms],
            "energy_j": spent_j,
            "energy_of": meter.name if meter is not None else None,
        }


def turns(asked: dict[str, Any]) -> dict[str, Any]:
    """Several networks in one process, a few hundredths of a second each, again and again."""
    import evface_runtimes
    from evface_edge.bench.latency import in_turns

    pin(1)
    with ExitStack() as opened:
        calls = {}
        for index, each in enumerate(asked["cases"]):
            runtime = opened.enter_context(
                evface_runtimes.load(
                    each["path"], runtime=each["runtime"], device=each["device"], threads=1
                )
            )
            entry = {each["input"]: np.load(each["tensor"])}
            calls[str(index)] = partial(runtime.run, entry)
        gc.disable()
        return {"ratios": list(in_turns(calls, seconds=asked["seconds"]).values())}


def peak(asked: dict[str, Any]) -> dict[str, Any]:
    """The most that one core computes."""
    from evface_edge.bench.peak import measure_peak

    pin(1)
    return {"tried": measure_peak(asked["seconds"]).tried}


def stages(asked: dict[str, Any]) -> dict[str, Any]:
    """Events to landmarks, stage by stage."""
    from evface_edge.bench.stages import measure_stages
    from evface_edge.geometry import SensorSize

    pin(asked["threads"])
    return measure_stages(
        Path(asked["path"]),
        SensorSize(asked["width"], asked["height"]),
        asked["mev_per_s"],
        window_events=asked["window_events"],
        runtime=asked["runtime"],
        device=asked["device"],
        threads=asked["threads"],
    )


def pin(count: int) -> None:
    """Keep this process on its last `count` cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-count:])


def peak_memory_mb() -> float | None:
    """The most that this process has held, MB (10⁶ bytes); None where the system does not tell.

    Not `ru_maxrss`: a process begins with that of the one that started it.
    """
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 / 1e6 if found else None


_KINDS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "network": network,
    "peak": peak,
    "stages": stages,
    "turns": turns,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
