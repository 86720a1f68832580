"""Rows of a benchmark, how they are measured, and the table that is made of them.

A module of this folder offers `rows(repeats) -> list[Row]` and, where the project promises
something, `BARS: tuple[Bar, ...]`. Ours is the candidate named OURS; every other is a peer.
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

OURS = "evface-edge"


@dataclass(frozen=True)
class Row:
    """How fast one candidate did one thing.

    Attributes:
        subject: what was done, such as "EVT2" or "voxel grid".
        setting: with what, such as "20 M events" or "346×260, 20 k events".
        candidate: who did it: OURS or the name of a peer.
        mev_per_s: million events a CPU-second, median of the repeats; nan where it failed.
    """

    subject: str
    setting: str
    candidate: str
    mev_per_s: float


@dataclass(frozen=True)
class Bar:
    """A promise: in every setting of the subject, ours is at least `ratio` times the peer.

    Attributes:
        setting: the only setting that it is about; "" for all of the subject.
    """

    subject: str
    peer: str
    ratio: float
    setting: str = ""


@dataclass(frozen=True)
class Sample:
    """One run that took its own time, for instance in a process of its own."""

    events: int
    cpu_s: float


@dataclass(frozen=True)
class Verdict:
    """What came of a bar in one setting; the ratio is nan where one of the two is missing."""

    bar: Bar
    setting: str
    ratio: float

    @property
    def met(self) -> str:
        if math.isnan(self.ratio):
            return "not measured"
        return "met" if self.ratio >= self.bar.ratio else "not met"


@dataclass(frozen=True)
class Limit:
    """A figure of another kind that must stay below a limit."""

    what: str
    measured: float
    limit: float
    unit: str

    @property
    def met(self) -> str:
        return "met" if self.measured < self.limit else "not met"


@dataclass(frozen=True)
class Result:
    """All that one run of the command found."""

    rows: Sequence[Row]
    verdicts: Sequence[Verdict]
    limits: Sequence[Limit]
    machine: Mapping[str, str]


#: Does the whole work once; returns the number of events, or what it measured itself.
Candidate = Callable[[], "int | Sample"]


def measure(
    subject: str, setting: str, candidates: Mapping[str, Candidate], repeats: int
) -> list[Row]:
    """Runs every candidate once unmeasured, then all of them in turn, `repeats` times.

    Time is that of the process on all its threads (CPU-seconds), so that a peer gains nothing by
    threads of its own, and a busy machine disturbs all candidates alike.
    """
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


def judge(rows: Iterable[Row], bars: Sequence[Bar]) -> list[Verdict]:
    """Every bar in every setting that it is about."""
    speeds = {(row.subject, row.setting, row.candidate): row.mev_per_s for row in rows}
    verdicts = []
    for bar in bars:
        settings = {
            setting: None
            for subject, setting, _ in speeds
            if subject == bar.subject and bar.setting in ("", setting)
        }
        for setting in settings or {bar.setting: None}:
            ours = speeds.get((bar.subject, setting, OURS), math.nan)
            peer = speeds.get((bar.subject, setting, bar.peer), math.nan)
            verdicts.append(Verdict(bar, setting, ours / peer))
    return verdicts


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
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


def markdown(result: Result) -> str:
    """One table of the figures, one of the bars, and the machine."""
    lines = []
    if result.rows:
        lines += ["| what | setting | candidate | Mev/s | ours / it |", "|---|---|---|---:|---:|"]
    ours = {
        (row.subject, row.setting): row.mev_per_s for row in result.rows if row.candidate == OURS
    }
    for row in result.rows:
        ratio = ours.get((row.subject, row.setting), math.nan) / row.mev_per_s
        mark = "" if row.candidate == OURS else _number(ratio, 2)
        lines.append(
            f"| {row.subject} | {row.setting} | {row.candidate} | "
            f"{_number(row.mev_per_s, 1)} | {mark} |"
        )
    if result.verdicts or result.limits:
        lines += ["", "| bar | setting | measured | |", "|---|---|---:|---|"]
    for verdict in result.verdicts:
        bar = verdict.bar
        lines.append(
            f"| {bar.subject} ≥ {bar.ratio:g} × {bar.peer} | {verdict.setting} | "
            f"{_number(verdict.ratio, 2)} | {verdict.met} |"
        )
    for found in result.limits:
        what, _, setting = found.what.partition(", ")
        lines.append(
            f"| {what} < {found.limit:g} {found.unit} | {setting} | "
            f"{found.measured:.0f} {found.unit} | {found.met} |"
        )
    facts = ", ".join(f"{key} {value}" for key, value in result.machine.items())
    lines += ["", f"Million events a CPU-second, all threads counted, medians; on {facts}."]
    return "\n".join(lines) + "\n"


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def as_json(result: Result) -> str:
    """The same for programs; a figure that is missing is null."""

    def known(value: float) -> float | None:
        return None if math.isnan(value) else value

    return json.dumps(
        {
            "machine": dict(result.machine),
            "rows": [{**asdict(row), "mev_per_s": known(row.mev_per_s)} for row in result.rows],
            "bars": [
                {
                    **asdict(verdict.bar),
                    "setting": verdict.setting,
                    "measured": known(verdict.ratio),
                    "verdict": verdict.met,
                }
                for verdict in result.verdicts
            ],
            "limits": [{**asdict(found), "verdict": found.met} for found in result.limits],
        },
        indent=2,
        ensure_ascii=False,
    )


def log(text: str) -> None:
    """A line for whoever waits."""
    import typer

    typer.echo(text, err=True)
