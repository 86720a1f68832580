"""A short run of python -m benchmarks soak_predictor, and one with a source that is not honest."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest

from evface_edge.events.array import make_events
from evface_edge.events.cameras.packet_queue import PacketQueue


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return importlib.import_module("benchmarks.soak_predictor")


def test_a_consumer_that_stalls(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "STALL_EVERY", 1)
    monkeypatch.setattr(script, "LONG_STALL_EVERY", 1)  # for half a second or longer, each time
    report = script.soak(1.5, rate_hz=5e5, queue_events=20_000, seed=1)
    # How many results there are, and so what fraction has a face, is for the machine to say.
    assert [fault for fault in report.faults if not fault.startswith("a face in only")] == []
    assert report.stalls > 0
    assert report.missing > 100_000
    assert report.delivered > 0
    assert f"{report.missing:,}" in report.summary()


def test_it_sees_a_packet_that_nobody_counted(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    push, calls = PacketQueue.push, []

    def forgetful(self: PacketQueue, packet: object) -> None:
        calls.append(1)
        if len(calls) != 5:
            push(self, packet)  # type: ignore[arg-type]

    monkeypatch.setattr(PacketQueue, "push", forgetful)
    report = script.soak(1.0, rate_hz=3e5, seed=1)
    assert any("are gone" in fault for fault in report.faults)


def test_growth_is_a_fault(script: ModuleType) -> None:
    def report(rss_mb: list[float], latency_ms: list[float]) -> list[str]:
        made = script.Report(seconds=60, rss_mb=rss_mb, latency_ms=latency_ms)
        script._judge(made)
        faults: list[str] = made.faults
        return faults

    assert report([100.0] * 9, [5.0] * 9) == []
    assert report([100.0] * 6 + [120.0] * 3, [5.0] * 9) == ["memory grows: +20.0 MB"]
    assert report([100.0] * 9, [5.0] * 6 + [50.0] * 3) == ["latency grows: +45.0 ms"]


def test_events_of_one_microsecond_are_told_apart(script: ModuleType) -> None:
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(100, 400, 3_000))
    events = make_events(
        t, rng.integers(0, 300, 3_000), rng.integers(0, 200, 3_000), rng.integers(0, 2, 3_000)
    )
    timeline = script.Timeline(events)
    span = int(t[-1]) + 1 - int(t[0])
    for start in (0, 7, 1_234, 2_990):
        for rounds in (0, 1, 5):
            packet = events[start : start + 40].copy()
            packet["t"] += rounds * span
            assert timeline.number(packet) == rounds * 3_000 + start
