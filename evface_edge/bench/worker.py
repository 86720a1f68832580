"""One measurement in a process of its own: `python -m evface_edge.bench.worker REQUEST`.

In a new process, memory and the time of the first inference are not affected by other networks,
and a crash does not end the benchmark. The request is JSON; the last line of the output is the
answer, also JSON.
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


def main(text: str) -> int:
    """Print the answer to one request."""
    request = json.loads(text)
    kind = _KINDS[request.pop("kind")]
    try:
        answer = {"status": "ok", **kind(request)}
    except RuntimeUnavailable as error:
        answer = {"status": "absent", "reason": str(error)}
    except EvfaceError as error:
        answer = {"status": "failed", "reason": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def network(request: dict[str, Any]) -> dict[str, Any]:
    """Measure the network alone, repeatedly on one tensor."""
    from evface_edge.bench.energy import energy_meter
    from evface_edge.bench.latency import measure

    pin(request["threads"])
    feed = _feed(request)
    base_mb = peak_memory_mb()
    began = time.perf_counter()
    runtime = _load(request)
    loaded = time.perf_counter()
    with runtime:
        runtime.run(feed)
        first = time.perf_counter()
        gc.disable()
        with energy_meter() as meter:
            for _ in range(request["warm_up"]):
                runtime.run(feed)
            before_j = meter.read_j() if meter is not None else 0.0
            latency = measure(
                {"network": lambda: runtime.run(feed)},
                seconds=request["seconds"],
                rounds=1,
                warm_up=0,
            )["network"]
            energy_j = meter.read_j() - before_j if meter is not None else None
        return {
            "runs_on": runtime.describe(),
            "base_mb": base_mb,
            "peak_mb": peak_memory_mb(),
            "load_ms": 1e3 * (loaded - began),
            "first_ms": 1e3 * (first - loaded),
            "samples_ms": [round(float(sample), 5) for sample in latency.samples_ms],
            "energy_j": energy_j,
            "energy_of": meter.name if meter is not None else None,
        }


def ratios(request: dict[str, Any]) -> dict[str, Any]:
    """Measure several networks in one process, interleaved."""
    from evface_edge.bench.latency import interleaved_ratios

    pin(1)
    with ExitStack() as stack:
        calls = {}
        for index, case in enumerate(request["cases"]):
            runtime = stack.enter_context(_load(case))
            calls[str(index)] = partial(runtime.run, _feed(case))
        gc.disable()
        return {"ratios": list(interleaved_ratios(calls, seconds=request["seconds"]).values())}


def peak(request: dict[str, Any]) -> dict[str, Any]:
    """Measure the peak of one core."""
    from evface_edge.bench.peak import measure_peak

    pin(1)
    return {"tried": measure_peak(request["seconds"]).tried}


def stages(request: dict[str, Any]) -> dict[str, Any]:
    """Measure events to landmarks, stage by stage."""
    from evface_edge.bench.stages import measure_stages
    from evface_edge.geometry import SensorSize

    pin(request["threads"])
    return measure_stages(
        Path(request["path"]),
        SensorSize(request["width"], request["height"]),
        request["mev_per_s"],
        window_events=request["window_events"],
        runtime=request["runtime"],
        device=request["device"],
        threads=request["threads"],
    )


def _load(case: dict[str, Any]) -> Any:
    import evface_runtimes

    return evface_runtimes.load(
        case["path"], runtime=case["runtime"], device=case["device"], threads=case["threads"]
    )


def _feed(case: dict[str, Any]) -> dict[str, Any]:
    return {case["input"]: np.load(case["tensor"])}


def pin(count: int) -> None:
    """Pin this process to its last `count` cores, if the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-count:])


def peak_memory_mb() -> float | None:
    """Return the peak memory of this process in MB (10⁶ bytes); None if it is unknown.

    Not `ru_maxrss`, which starts with the peak of the parent process.
    """
    try:
        match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(match[1]) * 1024 / 1e6 if match else None


_KINDS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "network": network,
    "peak": peak,
    "ratios": ratios,
    "stages": stages,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
