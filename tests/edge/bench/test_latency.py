"""Latency measurements: number, order and clock."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

from evface_edge.bench.latency import Latency, interleaved_ratios, measure, pinned
from evface_edge.errors import ConfigError


def test_percentiles_of_known_samples() -> None:
    latency = Latency(np.arange(101.0))
    assert (latency.p50_ms, latency.p95_ms, latency.p99_ms) == (50, 95, 99)
    assert (latency.fast_ms, latency.disturbed) == (10, True)
    assert not Latency(np.array([1.0, 1.1, 1.2, 9.0])).disturbed
    assert str(latency) == "50.000 ms (p95 95.000, p99 99.000)"
    with pytest.raises(ConfigError) as error:
        Latency(np.array([]))
    assert error.value.field == "samples_ms"


def test_calls_alternate() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}  # type: ignore[misc]
    found = measure(calls, seconds=0.006, rounds=3, warm_up=2)
    assert order[:4] == ["a", "a", "b", "b"]
    counted = order[4:]
    turns = [
        name for name, before in zip(counted, [None, *counted], strict=False) if name != before
    ]
    assert turns == ["a", "b"] * 3
    assert {name: len(found[name].samples_ms) for name in "ab"} == {
        name: counted.count(name) for name in "ab"
    }


def test_a_call_longer_than_its_time_is_still_counted() -> None:
    calls = {"slow": lambda: threading.Event().wait(0.01)}
    found = measure(calls, seconds=1e-9, rounds=2, warm_up=0)
    assert len(found["slow"].samples_ms) == 2 * 5
    assert found["slow"].samples_ms.min() >= 10


def test_cpu_time_does_not_include_waiting() -> None:
    calls = {"waits": lambda: threading.Event().wait(0.01)}
    found = measure(calls, seconds=1e-9, rounds=1, warm_up=0, clock=time.process_time)
    assert np.median(found["waits"].samples_ms) < 5


def test_ratios_do_not_depend_on_the_speed_of_a_round() -> None:
    now_s, calls_made = 0.0, 0

    def takes(seconds: float) -> None:
        nonlocal now_s, calls_made
        slow = 1 + (calls_made // 15) % 4  # 3 candidates, 5 calls each
        now_s += slow * seconds
        calls_made += 1

    calls = {"a": lambda: takes(2.0), "b": lambda: takes(1.0), "c": lambda: takes(5.0)}
    ratios = interleaved_ratios(calls, seconds=1e-9, rounds=9, warm_up=0, clock=lambda: now_s)
    assert calls_made == 9 * 3 * 5
    assert ratios == {"a": 1.0, "b": pytest.approx(0.5), "c": pytest.approx(2.5)}


@pytest.mark.parametrize("field", ["seconds", "rounds", "calls"])
def test_settings_must_be_above_0(field: str) -> None:
    calls = {} if field == "calls" else {"a": int}
    settings = {} if field == "calls" else {field: 0}
    for function in (measure, interleaved_ratios):
        with pytest.raises(ConfigError) as error:
            function(calls, **settings)  # type: ignore[operator]
        assert error.value.field == field


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no sched_setaffinity")
def test_threads_are_pinned_and_released() -> None:
    before = os.sched_getaffinity(0)
    with pinned() as core:
        assert os.sched_getaffinity(0) == {core}
        seen: list[set[int]] = []
        thread = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
        thread.start()
        thread.join()
        assert seen == [{core}]
    assert os.sched_getaffinity(0) == before
