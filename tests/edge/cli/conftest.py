from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evface_edge.cli import main
from evface_edge.events import write_events
from evface_edge.events.array import make_events
from evface_edge.geometry import Box, SensorSize
from evface_edge.results import FaceLandmarks, FaceState

SIZE = SensorSize(120, 90)


@dataclasses.dataclass
class Result:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `evface-edge` in this process."""

    def call(*arguments: object) -> Result:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A second of 5000 events."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 1_000_000, 5000))
    x, y = rng.integers(0, SIZE.width, 5000), rng.integers(0, SIZE.height, 5000)
    path = tmp_path / "recording.npz"
    write_events(path, make_events(t, x, y, rng.integers(0, 2, 5000)), SIZE)
    return path


class FakePredictor:
    """In place of `Predictor`: a face every 10 ms, the last two of them held."""

    faces = True
    fails_at_us: int | None = None
    error: BaseException = RuntimeError("made up")
    made_with: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, model: str = "evface-s", **settings: Any) -> None:
        type(self).made_with = {"model": model, **settings}
        self.card = SimpleNamespace(name="evface-s")

    def __enter__(self) -> FakePredictor:
        return self

    def __exit__(self, *_: object) -> None: ...

    def describe(self) -> str:
        return "evface-s on a fake"

    def stream(
        self, source: Any, *, box: Box | None = None
    ) -> Iterator[tuple[int, Sequence[FaceLandmarks]]]:
        type(self).made_with["box"] = box
        due_us = 10_000
        for packet in source:
            while due_us <= packet["t"][-1]:
                if self.fails_at_us is not None and due_us >= self.fails_at_us:
                    raise self.error
                yield due_us, [self._face(due_us)] if self.faces else []
                due_us += 10_000

    def _face(self, t_us: int) -> FaceLandmarks:
        angle = np.arange(98) / 98 * 2 * np.pi
        points = np.stack([60 + 30 * np.cos(angle), 45 + 30 * np.sin(angle)], axis=1)
        state = FaceState.HELD if t_us > 970_000 else FaceState.FOLLOWING
        return FaceLandmarks(
            t_us=t_us,
            landmarks=points.astype(np.float32),
            sigma=np.full(98, 1.5, np.float32),
            presence=0.9,
            box=Box.around(points),
            state=state,
            face_id=1,
        )


@pytest.fixture
def fake_predictor(monkeypatch: pytest.MonkeyPatch) -> type[FakePredictor]:
    class Fake(FakePredictor):
        pass

    module = ModuleType("evface_edge.predictor")
    module.Predictor = Fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "evface_edge.predictor", module)
    return Fake
