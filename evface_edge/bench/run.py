"""A complete benchmark: every case in every round, each time in a new process.

cases ─▶ rounds of workers ─▶ rows ─▶ a mapping for JSON (`report` makes tables of it)

In every round all cases and the machine's peak are measured one after the other, so that a machine
that slows down slows all of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evface_edge.bench.cases import Case
from evface_edge.bench.latency import Latency
from evface_edge.bench.machine import describe_machine
from evface_edge.bench.multiply_adds import mega_macs
from evface_edge.bench.peak import Peak
from evface_edge.bench.stages import RATES_MEV_PER_S, SIZES, STAGES, summarise
from evface_edge.card_file import read_card
from evface_edge.errors import ConfigError

VERSION = 1
#: Building an engine takes minutes.
_TIMEOUT_S = 1200


@dataclass(frozen=True)
class Effort:
    """Duration of a benchmark.

    Attributes:
        seconds: for each case, in all rounds together.
        rounds: number of rounds; each case runs in a new process in each.
        warm_up: inferences of each process before the measurement.
        end_to_end: whether events to landmarks are measured too.
        window_events: maximum number of events of one inference end to end; by default that of
            the card.
    """

    seconds: float = 2.0
    rounds: int = 3
    warm_up: int = 20
    end_to_end: bool = True
    window_events: int | None = None

    def __post_init__(self) -> None:
        if self.window_events is not None and self.window_events < 1:
            raise ConfigError("window_events", self.window_events, "1 or more")
        for field, minimum in (("seconds", 1e-3), ("rounds", 1), ("warm_up", 0)):
            if not getattr(self, field) >= minimum:
                raise ConfigError(field, getattr(self, field), f"{minimum:g} or more")


Answer = dict[str, Any]
Worker = Callable[[Mapping[str, Any]], Answer]
Report = Callable[[str], None]


def run_worker(request: Mapping[str, Any]) -> Answer:
    """Return the answer of a new process; a crash or timeout is an answer, too."""
    command = [sys.executable, "-m", "evface_edge.bench.worker", json.dumps(request)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"status": "failed", "reason": f"timeout after {_TIMEOUT_S} s"}
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines:
        answer: Answer = json.loads(lines[-1])
        return answer
    errors = [line for line in done.stderr.splitlines() if line.strip()]
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return {"status": "failed", "reason": ": ".join([how, *errors[-1:]])}


def run_benchmark(
    cases: Sequence[Case],
    effort: Effort,
    *,
    worker: Worker = run_worker,
    report: Report = lambda text: None,
) -> dict[str, Any]:
    """Measure all cases. A case that fails has a reason in its row; the others continue.

    Args:
        report: called with a line of progress.

    Returns:
        `machine`, `settings`, `peak`, `network` (a row for each case; `ratio` is its time ÷ that
        of the first one, interleaved, or None) and `end_to_end` (a row for each case with one
        thread, sensor and event rate). All values fit JSON.
    """
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="evface-") as folder:
        requests = {case: _request(case, Path(folder)) for case in cases}
        answers, peak = _run_rounds(requests, effort, worker, report)
        ratios = _ratios(requests, answers, effort, worker, report)
    rows = [_network_row(case, answers[case], peak) | {"ratio": ratios.get(case)} for case in cases]
    measured = [
        case
        for case, row in zip(cases, rows, strict=True)
        if row["status"] == "ok" and case.threads == 1
    ]
    return {
        "version": VERSION,
        "machine": machine,
        "settings": {
            "seconds": effort.seconds,
            "rounds": effort.rounds,
            "batch": 1,
            "window_events": effort.window_events,
        },
        "peak": None if peak is None else vars(peak),
        "network": rows,
        "end_to_end": _end_to_end(measured, effort, worker, report) if effort.end_to_end else [],
    }


def _request(case: Case, folder: Path) -> dict[str, Any]:
    """The part of a request that names a case, with a file of its input tensor."""
    spec = read_card(case.path).inputs[0]
    shape = tuple(1 if size < 0 else size for size in spec.shape)
    tensor = folder / f"{'x'.join(map(str, shape))}.npy"
    if not tensor.is_file():
        # Values do not affect the time of dense arithmetic, except denormal numbers: avoid those.
        values = np.random.default_rng(0).gamma(0.5, 1.0, shape).astype(np.float32)
        np.save(tensor, np.where(values < 0.2, np.float32(0), values))
    return {
        "path": case.path,
        "runtime": case.runtime,
        "device": case.device,
        "threads": case.threads,
        "input": spec.name,
        "tensor": str(tensor),
    }


def _run_rounds(
    requests: Mapping[Case, Mapping[str, Any]], effort: Effort, worker: Worker, report: Report
) -> tuple[dict[Case, list[Answer]], Peak | None]:
    """Return the answers of each case, one a round until it fails, and the best peak."""
    seconds = effort.seconds / effort.rounds
    answers: dict[Case, list[Answer]] = {case: [] for case in requests}
    absent: dict[tuple[str, str], Answer] = {}
    tried: dict[str, float] = {}
    for turn in range(effort.rounds):
        progress = f"round {turn + 1} of {effort.rounds}"
        report(f"{progress}: peak of one core")
        peak = worker({"kind": "peak", "seconds": min(seconds, 0.5)})
        for name, gops in peak.get("tried", {}).items():
            tried[name] = max(gops, tried.get(name, 0.0))
        for case, request in requests.items():
            if answers[case] and answers[case][-1]["status"] != "ok":
                continue
            place = (case.runtime, case.device)
            if place in absent:
                answers[case].append(absent[place])
                continue
            report(f"{progress}: {case}")
            options = {"kind": "network", "seconds": seconds, "warm_up": effort.warm_up}
            answers[case].append(worker({**request, **options}))
            if answers[case][-1]["status"] == "absent":
                absent[place] = answers[case][-1]
    return answers, Peak.of(tried) if tried else None


def _ratios(
    requests: Mapping[Case, Mapping[str, Any]],
    answers: Mapping[Case, Sequence[Answer]],
    effort: Effort,
    worker: Worker,
    report: Report,
) -> dict[Case, float]:
    """Measure time ÷ that of the first case, for one thread, interleaved in one process.

    Rounds of new processes are seconds apart, and the speed of a machine may change meanwhile.
    """
    single = [c for c, got in answers.items() if c.threads == 1 and got[-1]["status"] == "ok"]
    if len(single) < 2:
        return {}
    report("ratios: all cases with one thread, interleaved")
    cases = [requests[case] for case in single]
    answer = worker({"kind": "ratios", "cases": cases, "seconds": effort.seconds})
    if answer["status"] != "ok":
        report(f"no ratios: {answer['reason']}")
        return {}
    return dict(zip(single, answer["ratios"], strict=True))


def _network_row(case: Case, answers: Sequence[Answer], peak: Peak | None) -> dict[str, Any]:
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
    # The best round: other programs only make it slower.
    fast_ms = min(Latency(np.array(answer["samples_ms"])).fast_ms for answer in answers)
    energies_j = [answer["energy_j"] for answer in answers if answer["energy_j"] is not None]
    known = len(energies_j) == len(answers)
    macs = mega_macs(path, read_card(path))
    row |= {
        "runs_on": answers[-1]["runs_on"],
        "samples": len(samples),
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
        "energy_mj": 1e3 * sum(energies_j) / len(samples) if known else None,
        "energy_of": answers[-1]["energy_of"],
        "mega_macs": macs,
    }
    if macs is not None:
        row["gops"] = 2 * macs / fast_ms
        if peak is not None and case.device == "cpu":
            fraction = peak.fraction(macs, fast_ms, case.precision)
            row["fraction_of_peak"] = fraction / case.threads
    return row


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def file_mb(path: Path) -> float:
    """Return the size of a model in MB, including the .bin file of an OpenVINO model."""
    parts = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    return sum(part.stat().st_size for part in parts if part.is_file()) / 1e6


def _end_to_end(
    cases: Sequence[Case], effort: Effort, worker: Worker, report: Report
) -> list[dict[str, Any]]:
    settings = [(case, size, rate) for case in cases for size in SIZES for rate in RATES_MEV_PER_S]
    answers: list[list[Answer]] = [[] for _ in settings]
    for turn in range(effort.rounds):
        for (case, size, rate), collected in zip(settings, answers, strict=True):
            if collected and collected[-1]["status"] != "ok":
                continue
            report(f"end to end, round {turn + 1}: {case}, {size}, {rate:g} Mev/s")
            request: dict[str, Any] = {"kind": "stages", "path": case.path, "runtime": case.runtime}
            request |= {"device": case.device, "threads": case.threads, "mev_per_s": rate}
            request |= {"width": size.width, "height": size.height}
            collected.append(worker({**request, "window_events": effort.window_events}))
    return [
        {
            "model": case.name,
            "runtime": case.runtime,
            "device": case.device,
            "width": size.width,
            "height": size.height,
            "mev_per_s": rate,
            "status": collected[-1]["status"],
            "reason": collected[-1].get("reason", ""),
            **(_stage_columns(collected) if collected[-1]["status"] == "ok" else {}),
        }
        for (case, size, rate), collected in zip(settings, answers, strict=True)
    ]


def _stage_columns(answers: Sequence[Answer]) -> dict[str, Any]:
    def joined(key: str, stage: str | None = None) -> list[float]:
        parts = [answer[key] if stage is None else answer[key][stage] for answer in answers]
        return [value for part in parts for value in part]

    columns: dict[str, Any] = {
        **summarise(joined("total_ms")),
        "instants": sum(answer["instants"] for answer in answers),
        "with_face": sum(answer["with_face"] for answer in answers),
        "keeps_up_mev_per_s": float(np.median([answer["mev_per_s"] for answer in answers])),
        "window_events_p50": float(np.median(joined("window_events"))),
        "cpu_p50_ms": float(np.median(joined("total_cpu_ms"))),
    }
    for stage in STAGES:
        for name, value in summarise(joined("stages_ms", stage)).items():
            columns[f"{stage}_{name}"] = value
        columns[f"{stage}_cpu_p50_ms"] = summarise(joined("stages_cpu_ms", stage))["p50_ms"]
    return columns
