"""Text in the many ways in which people write events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evface_edge.errors import ConfigError, EventFormatError, EventFormatWarning
from evface_edge.events import make_events, read_events
from evface_edge.events.formats import reading
from evface_edge.geometry import SensorSize

EXPECTED = make_events([1_000_000, 1_000_250, 1_500_000], [5, 6, 7], [8, 9, 10], [1, 0, 1])

TEXTS = {
    "no header": "1000000,5,8,1\n1000250,6,9,0\n1500000,7,10,1\n",
    "no last newline": "1000000,5,8,1\n1000250,6,9,0\n1500000,7,10,1",
    "windows": "1000000,5,8,1\r\n1000250,6,9,0\r\n1500000,7,10,1\r\n",
    "blanks, seconds": "1.000000 5 8 1\n1.000250 6 9 0\n1.500000 7 10 1\n",
    "tabs, signs": "1.0\t5\t8\t1\n1.00025\t6\t9\t-1\n1.5\t7\t10\t1\n",
    "semicolons": "1000000; 5; 8; 1\n1000250; 6; 9; 0\n1500000; 7; 10; 1\n",
    "numpy.savetxt": "".join(
        " ".join(f"{value:.18e}" for value in row) + "\n"
        for row in ([1.0, 5, 8, 1], [1.00025, 6, 9, 0], [1.5, 7, 10, 1])
    ),
    "header": "t,x,y,p\n1000000,5,8,1\n1000250,6,9,0\n1500000,7,10,1\n",
    "header, other order": "x,y,polarity,timestamp\n5,8,1,1000000\n6,9,0,1000250\n7,10,1,1500000\n",
    "header, quotes, spaces": '"x" , "y" , "p" , "t [s]"\n5,8,1,1\n6,9,0,1.00025\n7,10,1,1.5\n',
    "header, unit": "t_ns,x,y,p\n1000000000,5,8,1\n1000250000,6,9,0\n1500000000,7,10,1\n",
    "header, more columns": "id,t,x,y,on,note\na,1000000,5,8,True,q\nb,1000250,6,9,False,r\n"
    "c,1500000,7,10,True,s\n",
    "whole floats": "1000000.0,5.0,8.0,1.0\n1000250.0,6.0,9.0,0.0\n1500000.0,7.0,10.0,1.0\n",
    "comments": "# made by hand\n\n1000000,5,8,1\n# between\n1000250,6,9,0\n\n1500000,7,10,1\n",
    "width and height": "346 260\n1.0 5 8 1\n1.00025 6 9 0\n1.5 7 10 1\n",
    "metavision": "%geometry:346,260\n5,8,1,1000000\n6,9,0,1000250\n7,10,1,1500000\n",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_with_the_same_events(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXTS[kind], newline="")
    size = None if "geometry" in TEXTS[kind] or kind.startswith("width") else SensorSize(346, 260)
    events, found = read_events(tmp_path / "a.txt", size=size)
    assert found == SensorSize(346, 260)
    np.testing.assert_array_equal(events, EXPECTED)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 20])
@pytest.mark.parametrize("kind", TEXTS)
def test_chunks_may_end_anywhere(
    kind: str, chunk_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK_BYTES", chunk_bytes)
    (tmp_path / "a.txt").write_text(TEXTS[kind], newline="")
    events, _ = read_events(tmp_path / "a.txt", size=SensorSize(346, 260))
    np.testing.assert_array_equal(events, EXPECTED)


def test_options_for_unit_and_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("5,1,8,2\n6,0,9,3\n")
    options = "width=20&height=20&columns=xpyt&time_unit=ms"
    events, _ = read_events(f"{tmp_path}/a.csv?{options}")
    np.testing.assert_array_equal(events, make_events([2000, 3000], [5, 6], [8, 9], [1, 0]))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    t=st.decimals(-(10**9), 10**9, places=9, allow_nan=False),
    form=st.sampled_from(["{:f}", "{:e}", "{:.12f}", "+{:f}"]),
)
def test_seconds_are_rounded_to_the_nearest_microsecond(
    t: object, form: str, tmp_path: Path
) -> None:
    from decimal import ROUND_FLOOR, Decimal

    assert isinstance(t, Decimal)
    text = form.format(t) if t >= 0 or "+" not in form else f"{t:f}"
    (tmp_path / "a.csv").write_text(f"{text},1,2,1\n")
    events, _ = read_events(f"{tmp_path}/a.csv?width=4&height=4&time_unit=s")
    exact = Decimal(text) * 10**6
    assert int(events["t"][0]) == int((exact + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


@pytest.mark.parametrize(
    "line",
    [
        "1000300,5,8",
        "1000300,5,8,2",
        "1000300,5.5,8,1",
        "1000300,,8,1",
        "x,5,8,1",
        "1e,5,8,1",
        "1000300,5,8,1x",
        "1000300 5 8 yes",
        "--3,5,8,1",
        "1000300,5,8,nan",
        "\xff\xfe,1,2,3",
    ],
)
def test_a_line_that_is_not_an_event_is_damage(line: str, tmp_path: Path) -> None:
    text = f"1000000,5,8,1\n1000250,6,9,0\n{line}\n1500000,7,10,1\n"
    (tmp_path / "a.csv").write_text(text, encoding="latin-1")
    with pytest.warns(EventFormatWarning, match=r"\(byte 28\).*\b2\b"):
        events, _ = read_events(tmp_path / "a.csv", size=SensorSize(20, 20), damage="salvage")
    np.testing.assert_array_equal(events, EXPECTED[:2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,x,y\n1,2,3\n", r"t, x, y,.*a.csv\?columns="),
        ("t,x,y,p,polarity\n1,2,3,0,1\n", "t, x, y, p, polarity"),
        ("1,2,3,0\n", r"a.csv\?width="),
        ("0 480\n1,2,3,0\n", "0×480"),
        ("\x00\x01", "null bytes"),
        ("# nothing but this\n", "t, x, y, p"),
    ],
)
def test_incomplete_texts(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(EventFormatError, match=message):
        read_events(tmp_path / "a.csv")


@pytest.mark.parametrize("option", ["time_unit=hours", "columns=txy", "columns=txyx", "colour=1"])
def test_options_that_do_not_exist(option: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2,3,0\n")
    with pytest.raises(ConfigError):
        read_events(f"{tmp_path}/a.csv?width=9&height=9&{option}")


def test_a_line_without_end_is_damage(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2,3,0\n" + "9" * 3_000_000)
    with pytest.warns(EventFormatWarning, match=r"1024 bytes \(byte 8\)"):
        events, _ = read_events(tmp_path / "a.csv", size=SensorSize(9, 9), damage="salvage")
    assert len(events) == 1
