"""Measurement of candidates in turns, and the report.

Speeds are in million events per second of CPU time, over all threads. OURS is this package; every
other candidate is another library.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

OURS = "evface-edge"


@dataclass(frozen=True)
class Row:
    """The speed of one candidate.

    Attributes:
        subject: a format or representation, such as "EVT2".
        setting: such as "20 M events" or "346×260, 20 k events".
        candidate: OURS, or another library.
        mev_per_s: million events per CPU second, median of the repeats; NaN if it failed.
    """

    subject: str
    setting: str
    candidate: str
    mev_per_s: float


@dataclass(frozen=True)
class Requirement:
    """OURS must be at least `ratio` times as fast as `peer`, in one setting or (empty) in all."""

    subject: str
    peer: str
    ratio: float
    setting: str = ""


@dataclass(frozen=True)
class Check:
    """The result of a requirement.

    Attributes:
        name: what was checked, in one setting.
        measured: NaN if it was not measured.
        passed: None if it was not measured.
    """

    name: str
    measured: float
    required: str
    passed: bool | None


@dataclass(frozen=True)
class Sample:
    """One run that measured its own time, such as a process of its own."""

    events: int
    cpu_s: float


#: Does the work once; returns the number of events, or its own measurement.
Candidate = Callable[[], "int | Sample"]


def measure(
    subject: str, setting: str, candidates: Mapping[str, Candidate], repeats: int
) -> list[Row]:
    """Runs every candidate once as a warm-up, then all of them in turns, `repeats` times."""
    speeds: dict[str, list[float]] = {name: [] for name in candidates}
    failed: set[str] = set()
    for repeat in range(repeats + 1):
        for name, run in candidates.items():
            if name in failed:
                continue
            try:
                sample = _timed(run)
            except Exception as error:
                failed.add(name)
                log(f"{subject}, {setting}: {name} failed: {type(error).__name__}: {error}")
                continue
            if repeat:
                speeds[name].append(sample.events / 1e6 / max(sample.cpu_s, 1e-9))
    return [
        Row(subject, setting, name, math.nan if name in failed else statistics.median(values))
        for name, values in speeds.items()
    ]


def _timed(run: Candidate) -> Sample:
    gc.collect()
    started = time.process_time()
    result = run()
    elapsed = time.process_time() - started
    return result if isinstance(result, Sample) else Sample(result, elapsed)


def check(rows: Iterable[Row], requirements: Sequence[Requirement]) -> list[Check]:
    """Checks every requirement in every setting that it applies to."""
    speeds = {(row.subject, row.setting, row.candidate): row.mev_per_s for row in rows}
    checks = []
    for each in requirements:
        settings = {
            setting: None
            for subject, setting, _ in speeds
            if subject == each.subject and each.setting in ("", setting)
        }
        for setting in settings or {each.setting: None}:
            ours = speeds.get((each.subject, setting, OURS), math.nan)
            ratio = ours / speeds.get((each.subject, setting, each.peer), math.nan)
            passed = None if math.isnan(ratio) else ratio >= each.ratio
            name = f"{each.subject}, {setting}: speed relative to {each.peer}"
            checks.append(Check(name, ratio, f"at least {each.ratio:g}", passed))
    return checks


def machine() -> dict[str, str]:
    """The processor, and the versions of the libraries."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
        if line.lower().startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    names = ("numpy", "numba", "faery", "aedat", "dv-processing", "h5py", "tonic")
    return {
        "processor": model,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version for name in names if (version := _version(name))},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def as_text(rows: Sequence[Row], checks: Sequence[Check]) -> str:
    """The report for people."""
    ours = {(row.subject, row.setting): row.mev_per_s for row in rows if row.candidate == OURS}
    lines = []
    for row in rows:
        ratio = ours.get((row.subject, row.setting), math.nan) / row.mev_per_s
        relative = "" if row.candidate == OURS else f"  {OURS} / it {ratio:.2f}"
        lines.append(
            f"{row.subject:<24} {row.setting:<28} {row.candidate:<24} "
            f"{row.mev_per_s:8.1f} Mev/s{relative}"
        )
    verdicts = {True: "passed", False: "FAILED", None: "not measured"}
    lines += [
        f"{verdicts[each.passed]:<12} {each.name}: {each.measured:.2f}, {each.required}"
        for each in checks
    ]
    return "\n".join(lines)


def as_json(rows: Sequence[Row], checks: Sequence[Check]) -> str:
    """The report for programs; what was not measured is null."""

    def known(facts: dict[str, object]) -> dict[str, object]:
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in facts.items()
        }

    report = {
        "machine": machine(),
        "rows": [known(asdict(row)) for row in rows],
        "checks": [known(asdict(each)) for each in checks],
    }
    return json.dumps(report, indent=2, ensure_ascii=False)


def log(text: str) -> None:
    """Shows progress."""
    typer.echo(text, err=True)
