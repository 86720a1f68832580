"""`evface-edge info` and `evface-edge convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evface_edge.cli import main
from evface_edge.events import make_events, read_events, write_events
from evface_edge.events.statistics import compute_statistics
from evface_edge.geometry import SensorSize

SIZE = SensorSize(64, 48)


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """A second of events, half of them of one pixel, with a gap of 300 ms."""
    t = np.concatenate([np.arange(0, 400_000, 100), np.arange(700_000, 1_000_001, 100)]) + 5_000_000
    x = np.where(np.arange(len(t)) % 2, 10, np.arange(len(t)) % 64)
    y = np.where(np.arange(len(t)) % 2, 20, np.arange(len(t)) % 48)
    events = make_events(t, x, y, np.arange(len(t)) % 4 == 0)
    write_events(tmp_path / "street.raw", events, SIZE)
    return tmp_path / "street.raw"


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_info_as_json(street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "info", street, "--json")
    facts: dict[str, Any] = json.loads(out)
    assert code == 0
    assert (facts["format"], facts["width"], facts["height"]) == ("evt3", 64, 48)
    assert facts["events"] == 4000 + 3001
    assert (facts["first_us"], facts["last_us"]) == (5_000_000, 6_000_000)
    assert facts["mean_rate_hz"] == pytest.approx(7001)
    assert facts["on_fraction"] == pytest.approx(1751 / 7001)
    hottest = facts["hot_pixels"][0]
    assert (hottest["x"], hottest["y"], hottest["events"]) == (10, 20, 3500)
    assert facts["gap_count"] == 1
    assert facts["gaps"] == [{"start_us": 5_399_900, "duration_us": 300_100}]
    assert facts["damage"] is None
    rates = np.array(facts["rates_hz"])
    assert rates[:23] == pytest.approx(10_000, rel=0.05)
    assert rates[25:41] == pytest.approx(0, abs=1)
    assert rates[43:] == pytest.approx(10_000, rel=0.05)


def test_info_as_text(street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "info", street)
    assert code == 0
    for text in ("Prophesee EVT3", "64×48", "7,001", "7 kev/s", "(10, 20) 49.99%", "300.1 ms at"):
        assert text in out
    plot = next(line for line in out.splitlines() if line.startswith("over time"))
    assert plot.count("█") > 30
    assert plot.count(" " * 16) == 1
    assert "none found" in out


def test_info_of_damage(street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    street.write_bytes(street.read_bytes()[:-1])
    code, out, err = call(capsys, "info", street)
    assert code == 0
    assert "(byte " in out.replace("\n", "")
    assert err == ""
    facts = json.loads(call(capsys, "info", street, "--json")[1])
    assert facts["damage_offset"] == street.stat().st_size - 1


def test_info_of_no_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_events(tmp_path / "a.npz", make_events([], [], [], []), SIZE)
    code, out, _ = call(capsys, "info", tmp_path / "a.npz")
    assert code == 0
    assert "events       0" in out
    facts = json.loads(call(capsys, "info", tmp_path / "a.npz", "--json")[1])
    assert facts["first_us"] is None
    write_events(tmp_path / "b.npz", make_events([5, 5], [1, 1], [2, 2], [0, 0]), SIZE)
    assert call(capsys, "info", tmp_path / "b.npz")[0] == 0


def test_info_of_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "info", tmp_path / "none.raw")
    assert (code, out) == (1, "")
    assert "none.raw" in err
    (tmp_path / "model.onnx").write_bytes(b"no model")
    code, _, err = call(capsys, "info", tmp_path / "model.onnx")
    assert code == 1
    assert err.startswith("error: ")
    assert call(capsys, "info", "replay:x.raw")[0] == 1


@pytest.mark.parametrize("name", ["evface-s", "evface-n-fp32"])
def test_info_of_a_bundled_model(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "info", name, "--json")
    assert code == 0
    assert json.loads(out)["name"] in ("evface-s", "evface-n")


def test_info_of_a_model(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    from evface_edge import card_file
    from evface_edge.card import ModelCard, TensorSpec, WindowPolicy

    card = ModelCard(
        name="evface-t",
        version="1.2",
        precision="int8",
        target="onnx-int8",
        representation={"name": "voxel", "bins": 5},
        crop_scale=1.3,
        window=WindowPolicy(0.2, 100, 5000, 50_000),
        inputs=(TensorSpec("events", (-1, 5, 128, 128)),),
        outputs=(TensorSpec("landmarks", (-1, 98, 2)),),
        presence_threshold=0.5,
        sigma_limit=0.1,
        metrics={"nme98_percent": 4.5},
    )
    monkeypatch.setattr(card_file, "read_card", lambda path: card)
    code, out, _ = call(capsys, "info", "evface-t.onnx")
    assert code == 0
    for text in ("evface-t", "int8", "voxel", "nme98 percent", "4.5", "landmarks"):
        assert text in out
    assert json.loads(call(capsys, "info", "m.onnx", "--json")[1])["version"] == "1.2"


def test_convert(street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "convert", street, tmp_path / "b.npz")
    assert code == 0
    assert "7,001 events, 64×48 pixels" in out
    np.testing.assert_array_equal(read_events(tmp_path / "b.npz")[0], read_events(street)[0])
    code, out, _ = call(
        capsys, "convert", tmp_path / "b.npz", tmp_path / "c.es", "--from-zero", "--json"
    )
    assert code == 0
    assert json.loads(out)["events"] == 7001
    assert read_events(tmp_path / "c.es")[0]["t"][[0, -1]].tolist() == [0, 1_000_000]


def test_convert_with_an_encoding(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "convert", street, f"{tmp_path}/b.raw?format=evt2")[0] == 0
    assert b"EVT2;" in (tmp_path / "b.raw").read_bytes()[:200]


def test_convert_does_not_overwrite(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b.npz").write_bytes(b"mine")
    code, _, err = call(capsys, "convert", street, tmp_path / "b.npz")
    assert code == 1
    assert "--overwrite" in err
    assert (tmp_path / "b.npz").read_bytes() == b"mine"
    assert call(capsys, "convert", street, tmp_path / "b.npz", "--overwrite")[0] == 0
    code, _, err = call(capsys, "convert", street, street, "--overwrite")
    assert code == 1
    assert str(street) in err


def test_convert_to_a_missing_folder(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "convert", street, tmp_path / "missing" / "b.npz")
    assert code == 1
    assert f"create {tmp_path / 'missing'} first" in err
    assert not (tmp_path / "missing").exists()


def test_convert_of_a_damaged_recording(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    street.write_bytes(street.read_bytes()[:-1])
    code, _, err = call(capsys, "convert", street, tmp_path / "strict.npz")
    assert code == 1
    assert "--damage salvage" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["street.raw"]
    for policy in ("salvage", "skip"):
        target = tmp_path / f"{policy}.npz"
        code, out, err = call(capsys, "convert", street, target, "--damage", policy)
        assert code == 0
        assert "7,000 events" in out
        assert "truncated" in err


def test_what_is_left_out_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = make_events(np.arange(100) * 10, [3] * 100, [4] * 100, [1] * 100)
    events["x"][50], events["t"][60] = 400, 10**7
    np.save(tmp_path / "a.npy", events)
    name = f"{tmp_path}/a.npy?width=20&height=20"
    code, _, err = call(capsys, "convert", name, tmp_path / "a.npz")
    assert code == 1
    assert "--damage skip" in err
    code, out, err = call(capsys, "convert", name, tmp_path / "a.npz", "--damage", "skip", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["damaged"] == {"outside": 1, "time": 1}
    code, out, _ = call(capsys, "info", name)
    assert code == 0
    assert "1 events outside the sensor, 1 events with impossible times" in out


@settings(deadline=None)
@given(
    times=st.lists(st.integers(0, 10**9), min_size=1, max_size=200),
    parts=st.integers(1, 5),
    bins=st.integers(1, 70),
)
def test_statistics_count_every_event(times: list[int], parts: int, bins: int) -> None:
    events = make_events(sorted(times), [3] * len(times), [4] * len(times), [1] * len(times))
    packets = [part for part in np.array_split(events, parts) if len(part)]
    found = compute_statistics(packets, SIZE)
    assert found.counts.sum() == found.events == len(times)
    steps = np.diff(sorted(times))
    assert found.gap_count == (steps >= 10_000).sum()
    assert [gap.duration_us for gap in found.gaps] == sorted(steps[steps >= 10_000])[::-1][:5]
    rates = found.rates_hz(bins)
    if found.duration_us:
        total = rates.sum() * (found.duration_us + 1) / bins / 1e6
        assert total == pytest.approx(len(times))


def test_info_of_a_mistyped_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "evface-t"]) == 1
    assert "evface-s-int8" in capsys.readouterr().err
