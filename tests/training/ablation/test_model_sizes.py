"""`benchmarks.model_sizes`: errors and costs of bundled networks and of teachers."""

from __future__ import annotations

import pytest

from benchmarks import model_sizes
from evface_training.data.faces import FaceSet


def test_bundled_networks_and_teachers(
    monkeypatch: pytest.MonkeyPatch, drawn_faces: FaceSet
) -> None:
    monkeypatch.setattr(model_sizes, "TURNS", 1)
    bundled = model_sizes.bundled("evface-s", drawn_faces, 4)
    # The mean face has an error of about 25 %.
    assert 0 < bundled.errors["sharp"] < 20
    paper, student = model_sizes.measured([model_sizes.teacher("paper"), bundled])
    assert paper["parameters"] == pytest.approx(21.6e6, rel=0.02)
    assert paper["nme98_percent"] == {}
    assert paper["int8_ms"] is None
    assert student["parameters"] <= 1.5e6
    assert student["int8_ms"] > 0
