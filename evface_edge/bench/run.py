"""A whole benchmark: every case in turns, each time in a fresh process.

cases ─▶ rounds of workers ─▶ figures ─▶ a mapping that is JSON (`report` makes tables of it)

In every round each case has its turn, and the machine's peak its own, so that a machine that slows
down slows all of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.bench.cases import Case, missing_package
from evface_edge.bench.latency import Latency
from evface_edge.bench.machine import describe_machine
from evface_edge.bench.peak import Peak
from evface_edge.bench.stages import RATES_MEV_PER_S, SIZES, STAGES, summarise
from evface_edge.bench.work import mega_macs
from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError

VERSION = 1
#: A worker that takes longer is stopped; building an engine takes minutes.
_LIMIT_S = 1200


@dataclass(frozen=True)
class Effort:
    """How long a benchmark takes.

    Attributes:
        seconds: that each case is measured for, in all rounds together.
        rounds: fresh processes of each case.
        warm_up: inferences in each process that are not counted.
        end_to_end: whether events to landmarks are measured too.
        window_events: that the network is shown at once there, at most; None: as its card says.
    """

    seconds: float = 2.0
    rounds: int = 3
    warm_up: int = 20
    end_to_end: bool = True
    window_events: int | None = None

    def __post_init__(self) -> None:
        if self.window_events is not None and self.window_events < 1:
            raise ConfigError("window_events", self.window_events, "1 or more")
        for field, least in (("seconds", 1e-3), ("rounds", 1), ("warm_up", 0)):
            if not getattr(self, field) >= least:
                raise ConfigError(field, getattr(self, field), f"{least:g} or more")


Worker = Callable[[Mapping[str, Any]], dict[str, Any]]


def ask_worker(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a fresh process; one that ends badly is an answer as well."""
    command = [sys.executable, "-m", "evface_edge.bench.worker", json.dumps(request)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"status": "failed", "reason": f"took more than {_LIMIT_S} s"}
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines:
        answer: dict[str, Any] = json.loads(lines[-1])
        return answer
    said = [line for line in done.stderr.splitlines() if line.strip()]
    how = (
        f"ended by signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
    )
    return {"status": "failed", "reason": ": ".join([how, *said[-1:]])}


def run_benchmark(
    cases: Sequence[Case],
    effort: Effort,
    *,
    worker: Worker = ask_worker,
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure all cases; what fails says why, and the rest goes on.

    Args:
        report: called with what is about to be measured.

    Returns:
        `machine`, `peak`, `network` (a row for each case; `ratio` is its time ÷ that of the first,
        taken in turns, None where there is none), `end_to_end` (a row for each case with
        one thread, sensor and rate), `settings`: all of it fit for JSON.
    """
    machine = describe_machine()
    seconds = effort.seconds / effort.rounds
    collected: dict[Case, list[dict[str, Any]]] = {case: [] for case in cases}
    absent: dict[tuple[str, str], str] = {}
    tried: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="evface-") as folder:
        tensors = _Tensors(Path(folder))
        for turn in range(effort.rounds):
            report(f"round {turn + 1} of {effort.rounds}: the peak of one core")
            answer = worker({"kind": "peak", "seconds": min(seconds, 0.5)})
            tried += [answer["tried"]] if answer["status"] == "ok" else []
            for case, answers in collected.items():
                if answers and answers[-1]["status"] != "ok":
                    continue
                where = (case.runtime, case.device)
                why = absent.get(where) or missing_package(case.runtime)
                if why is not None:
                    answers.append({"status": "absent", "reason": why})
                    continue
                report(f"round {turn + 1} of {effort.rounds}: {case}")
                request = {
                    "kind": "network",
                    **_place(case),
                    **tensors.of(case),
                    "seconds": seconds,
                    "warm_up": effort.warm_up,
                }
                answers.append(worker(request))
                if answers[-1]["status"] == "absent":
                    absent[where] = answers[-1]["reason"]
        ratios = _ratios(collected, tensors, effort, worker, report)
    best = _peak(tried)
    counted = _count(cases)
    rows = [
        _network_row(case, answers, best, counted) | {"ratio": ratios.get(case)}
        for case, answers in collected.items()
    ]
    found = {
        "version": VERSION,
        "machine": machine,
        "settings": {
            "seconds": effort.seconds,
            "rounds": effort.rounds,
            "batch": 1,
            "window_events": effort.window_events,
        },
        "peak": None if best is None else vars(best),
        "network": rows,
        "end_to_end": [],
    }
    if effort.end_to_end:
        works = [
            case
            for case, row in zip(cases, rows, strict=True)
            if row["status"] == "ok" and case.threads == 1
        ]
        found["end_to_end"] = _end_to_end(works, effort, worker, report)
    return found


def _ratios(
    collected: Mapping[Case, Sequence[Mapping[str, Any]]],
    tensors: _Tensors,
    effort: Effort,
    worker: Worker,
    report: Callable[[str], None],
) -> dict[Case, float]:
    """Time of each case of one thread ÷ that of the first, in turns in one process.

    Rounds of fresh processes are seconds apart, and the speed of a machine that others use as well
    changes within seconds.
    """
    single = [case for case, got in collected.items() if case.threads == 1 and _ok(got)]
    if len(single) < 2:
        return {}
    report("all that ran on one thread, in turns")
    request = [{**_place(case), **tensors.of(case)} for case in single]
    answer = worker({"kind": "turns", "cases": request, "seconds": effort.seconds})
    if answer["status"] != "ok":
        report(f"no ratios: {answer['reason']}")
        return {}
    return dict(zip(single, answer["ratios"], strict=True))


def _ok(answers: Sequence[Mapping[str, Any]]) -> bool:
    return bool(answers) and answers[-1]["status"] == "ok"


def _place(case: Case) -> dict[str, Any]:
    return {
        "path": case.path,
        "runtime": case.runtime,
        "device": case.device,
        "threads": case.threads,
    }


class _Tensors:
    """One input for each shape, kept as files for the workers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, case: Case) -> dict[str, str]:
        spec = read_card(case.path).inputs[0]
        shape = tuple(1 if size < 0 else size for size in spec.shape)
        path = self._folder / f"{'x'.join(map(str, shape))}.npy"
        if not path.is_file():
            # The time of dense arithmetic does not depend on the values, but for denormal numbers.
            values = np.random.default_rng(0).gamma(0.5, 1.0, shape).astype(np.float32)
            np.save(path, np.where(values < 0.2, np.float32(0), values))
        return {"input": spec.name, "tensor": str(path)}


def _peak(tried: Sequence[Mapping[str, float]]) -> Peak | None:
    if not tried:
        return None
    names = tried[0].keys()
    most = {name: max(turn[name] for turn in tried) for name in names}
    by = {
        precision: max(gops for name, gops in most.items() if name.endswith(precision))
        for precision in ("fp32", "int8")
    }
    return Peak(by["fp32"], by["int8"], most)


def _count(cases: Sequence[Case]) -> dict[str, float | None]:
    return {path: mega_macs(Path(path), read_card(path)) for path in {case.path for case in cases}}


def _network_row(
    case: Case,
    answers: Sequence[Mapping[str, Any]],
    peak: Peak | None,
    counted: Mapping[str, float | None],
) -> dict[str, Any]:
    path = Path(case.path)
    row: dict[str, Any] = {
        "model": case.name,
        "precision": case.precision,
        "runtime": case.runtime,
        "device": case.device,
        "threads": case.threads,
        "file_mb": file_mb(path),
        "status": answers[-1]["status"],
        "reason": answers[-1].get("reason", ""),
    }
    if row["status"] != "ok":
        return row
    samples = np.concatenate([answer["samples_ms"] for answer in answers])
    latency = Latency(samples)
    fast_ms = min(Latency(np.array(answer["samples_ms"])).fast_ms for answer in answers)
    row |= {
        "runs_on": answers[-1]["runs_on"],
        "samples": len(samples),
        # Of the round that was disturbed least: what else runs only ever makes it slower.
        "fast_ms": fast_ms,
        "p50_ms": latency.p50_ms,
        "p95_ms": latency.p95_ms,
        "p99_ms": latency.p99_ms,
        "jitter_ms": latency.p99_ms - latency.p50_ms,
        "disturbed": latency.disturbed,
        "per_s": 1e3 / float(samples.mean()),
        "load_ms": float(np.median([answer["load_ms"] for answer in answers])),
        "first_ms": float(np.median([answer["first_ms"] for answer in answers])),
        "peak_mb": _largest(answer["peak_mb"] for answer in answers),
        "network_mb": _largest(
            None if answer["peak_mb"] is None else answer["peak_mb"] - answer["base_mb"]
            for answer in answers
        ),
        "energy_mj": None,
        "energy_of": answers[-1]["energy_of"],
        "mega_macs": counted[case.path],
    }
    spent_j = [answer["energy_j"] for answer in answers if answer["energy_j"] is not None]
    if len(spent_j) == len(answers):
        row["energy_mj"] = 1e3 * sum(spent_j) / len(samples)
    macs = row["mega_macs"]
    if macs is not None:
        row["gops"] = 2 * macs / fast_ms
        if peak is not None and case.device == "cpu":
            fraction = peak.fraction(macs, fast_ms, case.precision)
            row["fraction_of_peak"] = fraction / case.threads
    return row


def _largest(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def file_mb(path: Path) -> float:
    """With the file of the weights that stands beside an OpenVINO model."""
    parts = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    return sum(part.stat().st_size for part in parts if part.is_file()) / 1e6


def _end_to_end(
    cases: Sequence[Case], effort: Effort, worker: Worker, report: Callable[[str], None]
) -> list[dict[str, Any]]:
    settings = [(case, size, rate) for case in cases for size in SIZES for rate in RATES_MEV_PER_S]
    answers: list[list[dict[str, Any]]] = [[] for _ in settings]
    for turn in range(effort.rounds):
        for (case, size, rate), taken in zip(settings, answers, strict=True):
            if taken and taken[-1]["status"] != "ok":
                continue
            report(f"end to end, round {turn + 1}: {case}, {size}, {rate:g} Mev/s")
            request = {"kind": "stages", **_place(case), "width": size.width}
            request |= {"height": size.height, "mev_per_s": rate}
            taken.append(worker({**request, "window_events": effort.window_events}))
    rows = []
    for (case, size, rate), taken in zip(settings, answers, strict=True):
        row = {
            "model": case.name,
            "runtime": case.runtime,
            "device": case.device,
            "width": size.width,
            "height": size.height,
            "mev_per_s": rate,
            "status": taken[-1]["status"],
            "reason": taken[-1].get("reason", ""),
        }
        if row["status"] == "ok":
            totals = [value for answer in taken for value in answer["total_ms"]]
            row |= summarise(totals)
            row["instants"] = sum(answer["instants"] for answer in taken)
            row["with_face"] = sum(answer["with_face"] for answer in taken)
            row["keeps_up_mev_per_s"] = float(np.median([a["mev_per_s"] for a in taken]))
            row["window_events_p50"] = _median(taken, "window_events")
            row["cpu_p50_ms"] = _median(taken, "total_cpu_ms")
            for stage in STAGES:
                times = [value for answer in taken for value in answer["stages_ms"][stage]]
                for name, value in summarise(times).items():
                    row[f"{stage}_{name}"] = value
                cpu_ms = [value for answer in taken for value in answer["stages_cpu_ms"][stage]]
                row[f"{stage}_cpu_p50_ms"] = summarise(cpu_ms)["p50_ms"]
        rows.append(row)
    return rows


def _median(answers: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(np.median([value for answer in answers for value in answer[key]]))
