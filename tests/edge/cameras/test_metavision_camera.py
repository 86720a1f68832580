"""Metavision cameras, against stand-ins with the documented API of OpenEB 5.

The stand-ins follow sdk/modules/core/python/pypkg/metavision_core/event_io of OpenEB; the real
modules, which are built from source, have never been met.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evface_edge.errors import CameraError, ConfigError, RuntimeUnavailable
from evface_edge.events import open_camera

EVENT_CD = np.dtype(
    {
        "names": ["x", "y", "p", "t"],
        "formats": ["<u2", "<u2", "<i2", "<i8"],
        "offsets": [0, 2, 4, 8],
        "itemsize": 16,
    }
)


def events(first: int, count: int) -> np.ndarray:
    array = np.zeros(count, EVENT_CD)
    array["t"] = np.arange(first, first + count)
    array["x"], array["y"], array["p"] = array["t"] % 320, array["t"] % 300, array["t"] % 2
    return array


class Biases:
    def __init__(self) -> None:
        self.values = {"bias_diff_on": 0, "bias_fo": 0}

    def get_all_biases(self) -> dict[str, int]:
        return dict(self.values)

    def set(self, name: str, value: int) -> bool:
        if abs(value) > 100:
            return False
        self.values[name] = value
        return True


class Switch:
    """I_ROI and I_ErcModule."""

    def __init__(self) -> None:
        self.window: Any = None
        self.rate = 0
        self.on = False

    def set_window(self, window: Any) -> None:
        self.window = window

    def set_cd_event_rate(self, rate: int) -> None:
        self.rate = rate

    def enable(self, on: bool) -> None:
        self.on = on


class Device:
    def __init__(self, limiter: bool = True) -> None:
        self.biases, self.roi = Biases(), Switch()
        self.erc = Switch() if limiter else None

    def get_i_ll_biases(self) -> Biases:
        return self.biases

    def get_i_roi(self) -> Switch:
        return self.roi

    def get_i_erc_module(self) -> Switch | None:
        return self.erc


class OpenEb:
    """Installs the fakes; the camera sends `packets`, then is disconnected."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *packets: np.ndarray) -> None:
        self.device = Device()
        self.arguments: dict[str, Any] = {}
        self.serials: list[str] = []
        self.stopped = False
        here = self

        class EventsIterator:
            @classmethod
            def from_device(cls, device: Device, **settings: Any) -> EventsIterator:
                assert device is here.device
                here.arguments = settings
                return cls()

            def get_size(self) -> tuple[int, int]:
                return 300, 320  # height first

            def __iter__(self) -> Iterator[np.ndarray]:
                try:
                    yield from packets
                finally:
                    here.stopped = True

        def initiate_device(
            path: str, do_time_shifting: bool = True, use_external_triggers: Any = ()
        ) -> Device:
            here.serials.append(path)
            if path == "absent":
                raise OSError(f"Failed to open camera {path} !")
            return here.device

        core, io, reader = (
            ModuleType(name)
            for name in (
                "metavision_core",
                "metavision_core.event_io",
                "metavision_core.event_io.raw_reader",
            )
        )
        hal = ModuleType("metavision_hal")
        core.event_io = io  # type: ignore[attr-defined]
        io.EventsIterator = EventsIterator  # type: ignore[attr-defined]
        io.raw_reader = reader  # type: ignore[attr-defined]
        reader.initiate_device = initiate_device  # type: ignore[attr-defined]
        window = lambda *area: area  # noqa: E731
        hal.I_ROI = SimpleNamespace(Window=window)  # type: ignore[attr-defined]
        for module in (core, io, reader, hal):
            monkeypatch.setitem(sys.modules, module.__name__, module)


def test_events_until_disconnection(monkeypatch: pytest.MonkeyPatch) -> None:
    openeb = OpenEb(monkeypatch, events(0, 100), events(0, 0), events(100, 50))
    got: list[Any] = []
    with open_camera("camera:metavision?serial=Prophesee:00051") as source:
        assert (source.size.width, source.size.height) == (320, 300)
        with pytest.raises(CameraError, match="Prophesee:00051"):
            got.extend(source)
    merged, truth = np.concatenate(got), events(0, 150)
    for name in "txyp":
        np.testing.assert_array_equal(merged[name], truth[name])
    assert openeb.serials == ["Prophesee:00051"]
    assert openeb.arguments == {"mode": "mixed", "delta_t": 2000, "n_events": 200_000}
    assert openeb.stopped


def test_options_reach_the_facilities(monkeypatch: pytest.MonkeyPatch) -> None:
    openeb = OpenEb(monkeypatch, events(0, 1))
    open_camera(
        "camera:metavision?packet_us=500&roi=10,20,100,50&rate_limit_hz=3e6&biases.bias_fo=-20"
    ).close()
    assert openeb.arguments["delta_t"] == 500
    assert (openeb.device.roi.window, openeb.device.roi.on) == ((10, 20, 100, 50), True)
    assert openeb.device.erc is not None
    assert (openeb.device.erc.rate, openeb.device.erc.on) == (3_000_000, True)
    assert openeb.device.biases.values == {"bias_diff_on": 0, "bias_fo": -20}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("biases.bias_hpf=1", "bias_diff_on, bias_fo"),
        ("biases.bias_fo=101", "biases.bias_fo = 101"),
        ("biases.bias_fo=much", "a whole number"),
        ("rate_limit_hz=1e6", "rate_limit_hz"),
        ("packet_us=1", "from 100"),
        ("colour=1", "packet_us, rate_limit_hz, roi, serial"),
    ],
)
def test_impossible_options(options: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    OpenEb(monkeypatch).device.erc = None
    with pytest.raises(ConfigError, match=message):
        open_camera(f"camera:metavision?{options}")


def test_no_camera_and_no_openeb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "metavision_core", None)
    with pytest.raises(RuntimeUnavailable, match=r"OpenEB.*\n.*04b4"):
        open_camera("camera:metavision")
    OpenEb(monkeypatch)
    with pytest.raises(CameraError, match=r"absent.*Failed"):
        open_camera("camera:metavision?serial=absent")
