"""A short run of python -m benchmarks soak_live over both live paths."""

from __future__ import annotations

import importlib
import socket
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def soak_live() -> ModuleType:
    return importlib.import_module("benchmarks.soak_live.live_paths")


def test_replay_with_a_consumer_that_stalls(soak_live: ModuleType) -> None:
    report = soak_live.soak_replay(soak_live.Soak(1.5, queue_events=100_000, seed=1), rate_hz=2e6)
    assert report.faults == []
    assert report.sent == report.delivered + report.dropped > 500_000
    assert report.dropped > 0


def test_network_with_a_consumer_that_stalls(soak_live: ModuleType) -> None:
    pytest.importorskip("dv_processing", reason="dv-processing is not installed")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    report = soak_live.soak_network(soak_live.Soak(1.0, queue_events=200_000, seed=2), port)
    assert report.faults == []
    assert report.sent == report.delivered + report.dropped > 500_000


def test_the_soak_sees_what_is_wrong(
    soak_live: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evface_edge.events.cameras.packet_queue import PacketQueue

    push, calls = PacketQueue.push, []

    def forgetful(self: PacketQueue, packet: object) -> None:
        calls.append(1)
        if len(calls) != 20:  # one packet is lost, and nobody counts it
            push(self, packet)  # type: ignore[arg-type]

    monkeypatch.setattr(PacketQueue, "push", forgetful)
    report = soak_live.soak_replay(soak_live.Soak(0.3, seed=1), rate_hz=1e6)
    assert any("are gone before" in fault for fault in report.faults)
    assert any("received is not what was sent" in fault for fault in report.faults)
