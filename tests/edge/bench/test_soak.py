"""The soak test itself: a healthy source, a source that loses events, growth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evface_edge import DEMO_RECORDING
from evface_edge.bench import soak as soak_module
from evface_edge.bench.soak import SoakResult, check, soak
from evface_edge.cli import main
from evface_edge.errors import ConfigError
from evface_edge.events.cameras.packet_queue import PacketQueue
from evface_edge.events.source import LiveCounters


def without_faces(problems: list[str]) -> list[str]:
    """The number of results, and so the fraction with a face, depends on the machine."""
    return [problem for problem in problems if not problem.endswith("have a face")]


def test_a_healthy_source_passes_although_events_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(soak_module, "PAUSE_EVERY", 1)
    monkeypatch.setattr(soak_module, "LONG_PAUSE_EVERY", 1)  # half a second or longer, each time
    result = soak(1.5, queue_events=20_000, seed=1)
    assert without_faces(result.problems) == []
    assert result.pauses > 0
    assert result.missing is not None
    assert result.missing > 100_000
    assert result.delivered > 0
    assert f"{result.missing:,}" in result.as_text()


def test_an_uncounted_loss_of_a_packet_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    push, calls = PacketQueue.push, []

    def lossy(self: PacketQueue, packet: object) -> None:
        calls.append(1)
        if len(calls) != 5:
            push(self, packet)  # type: ignore[arg-type]

    monkeypatch.setattr(PacketQueue, "push", lossy)
    result = soak(1.0, seed=1)
    assert result.missing
    assert any(f"{result.missing} events are missing" in problem for problem in result.problems)


def problems(**values: object) -> list[str]:
    result = SoakResult(**{"seconds": 60.0, **values})  # type: ignore[arg-type]
    check(result, 60.0)
    return result.problems


def test_growth_is_detected() -> None:
    flat = {"memory_mb": [100.0] * 9, "descriptors": [12] * 9, "latency_ms": [5.0] * 9}
    assert problems(**flat) == []
    for name, growing in (
        ("memory_mb", [100.0] * 6 + [120.0] * 3),
        ("descriptors", [12] * 6 + [13] * 3),
        ("latency_ms", [5.0] * 6 + [50.0] * 3),
    ):
        (problem,) = problems(**{**flat, name: growing})
        assert problem.startswith(name.split("_")[0].replace("descriptors", "open"))
    # A third of a minute of clocks that differ by 100 ppm is no growth.
    assert problems(**{**flat, "latency_ms": [5.0] * 6 + [25.5] * 3}) == []


@pytest.mark.parametrize(
    "values",
    [
        {"delivered": 10, "counters": LiveCounters(events=9, received=9)},
        {"missing": 3, "counters": LiveCounters(received=10, events_dropped=2)},
        {"missing": 0, "counters": LiveCounters(received=10, events_dropped=11)},
        {"missing": 0, "results": 10, "with_face": 7},
        {"seconds": 59.0},
    ],
    ids=["delivered", "uncounted", "counted twice", "faces", "ended"],
)
def test_each_inconsistency_is_a_problem(values: dict[str, object]) -> None:
    assert len(problems(**values)) == 1


def test_a_recording_is_not_a_live_source() -> None:
    with pytest.raises(ConfigError, match=r"demo\.npz") as error:
        soak(1.0, source=str(DEMO_RECORDING))
    assert error.value.field == "--source"
    with pytest.raises(ConfigError) as error:
        soak(0.0)
    assert error.value.field == "--soak"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A replay that ends early fails."""
    source = f"replay:{DEMO_RECORDING}"
    arguments = ["bench", "--soak", "60", "--source", source, "--json", "-o", str(tmp_path)]
    assert main(arguments) == 1
    answer = json.loads(capsys.readouterr().out)
    assert not answer["passed"]
    assert len(answer["problems"]) == 1
    assert answer["delivered"] == answer["counters"]["events"] > 0
    assert json.loads((tmp_path / "soak.json").read_text()) == answer
    assert main(["bench", "evface-s", "evface-n", "--soak", "1"]) == 1
