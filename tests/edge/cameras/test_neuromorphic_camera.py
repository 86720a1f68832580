"""Cameras through neuromorphic-drivers: the real library, up to the USB bus."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evface_edge.errors import CameraError, ConfigError
from evface_edge.events import LiveCounters, open_camera

nd = pytest.importorskip("neuromorphic_drivers", reason="neuromorphic-drivers is not installed")

MODELS = {
    "evk4": (nd.prophesee_evk4, nd.Name.PROPHESEE_EVK4),
    "evk3": (nd.prophesee_evk3_hd, nd.Name.PROPHESEE_EVK3_HD),
    "davis346": (nd.inivation_davis346, nd.Name.INIVATION_DAVIS346),
    "dvxplorer": (nd.inivation_dvxplorer, nd.Name.INIVATION_DVXPLORER),
}


def events(first: int, count: int) -> np.ndarray:
    """As the library gives them, by its README."""
    array = np.zeros(count, [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
    array["t"] = np.arange(first, first + count)
    array["x"], array["y"], array["on"] = array["t"] % 300, array["t"] % 200, array["t"] % 3 == 0
    return array


def packet(polarity: np.ndarray | None, overflows: list[int] | None = None) -> Any:
    return SimpleNamespace(
        polarity_events=polarity,
        polarity_events_overflow_indices=None if overflows is None else np.array(overflows),
    )


def status(backlog: int = 0, dropped: int = 0) -> Any:
    ring = nd.status.RingStatus(0.0, backlog, 1, False, 0, dropped)
    return nd.status.Status(system_time=0.0, ring=ring)


class FakeUsb:
    """A fake of `neuromorphic_drivers.open` with one camera."""

    def __init__(self, model: str, *script: Any, bounds: Any = None) -> None:
        self.module, self.name = MODELS[model]
        self.script, self.bounds = list(script), bounds
        self.arguments: dict[str, Any] = {}
        self.closed = False

    def open(self, configuration: Any, **settings: Any) -> Any:
        if configuration.type() != self.module.Configuration.type():
            raise RuntimeError("device not found")
        assert configuration.serialize()
        assert settings["ring_configuration"].serialize()
        assert settings["iterator_timeout"] is not None
        self.arguments = {"configuration": configuration, **settings}
        usb = self

        class Device:
            def __iter__(self) -> Device:
                return self

            def __next__(self) -> Any:
                if not usb.script:
                    raise RuntimeError("Usb(NoDevice)")
                return usb.script.pop(0)

            def name(self) -> Any:
                return usb.name

            def serial(self) -> str:
                return "00051"

            def properties(self) -> Any:
                return usb.module.Properties()

            def biases_bounds(self) -> Any:
                return usb.bounds or usb.module.BiasesBounds()

            def close(self) -> None:
                usb.closed = True

        return Device()


def plug(monkeypatch: pytest.MonkeyPatch, usb: FakeUsb) -> FakeUsb:
    monkeypatch.setattr(nd, "open", usb.open)
    return usb


def test_events_and_losses_reported_by_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    usb = plug(
        monkeypatch,
        FakeUsb(
            "evk4",
            (status(), packet(events(0, 5))),
            (nd.status.Status(system_time=0.0, ring=None), None),  # no packet within the timeout
            (status(backlog=9, dropped=2), packet(events(5, 10), [0, 7])),
            (status(backlog=3, dropped=3), packet(None)),
        ),
    )
    with open_camera("camera:prophesee?serial=00051") as source:
        assert (source.title, source.size.width) == ("Prophesee EVK4 00051", 1280)
        got: list[Any] = []
        with pytest.raises(CameraError, match=r"00051.*Usb\(NoDevice\)"):
            got.extend(source)
        counters = source.counters
    assert usb.arguments["serial"] == "00051"
    assert usb.closed
    merged, truth = np.concatenate(got), events(0, 15)
    for ours, theirs in (("t", "t"), ("x", "x"), ("y", "y"), ("p", "on")):
        np.testing.assert_array_equal(merged[ours], truth[theirs])
    assert isinstance(counters, LiveCounters)
    assert (counters.overflows, counters.driver_packets_dropped) == (2, 3)
    assert counters.driver_backlog == 3


@pytest.mark.parametrize("model", MODELS)
def test_each_model_opens_with_its_own_configuration(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usb = plug(monkeypatch, FakeUsb(model))
    with open_camera(f"camera:{model}") as source:
        properties = MODELS[model][0].Properties
        assert (source.size.width, source.size.height) == (properties.width, properties.height)
    assert usb.arguments["configuration"] == MODELS[model][0].Configuration()
    ring = usb.arguments["ring_configuration"]
    assert ring.ring_length * ring.buffer_length <= 64 << 20


def test_prophesee_opens_the_connected_model(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, FakeUsb("evk3"))
    with open_camera("camera:prophesee") as source:
        assert source.title == "Prophesee EVK3 HD 00051"
    # Only the EVK4 has this bias.
    with pytest.raises(CameraError, match="device not found"):
        open_camera("camera:prophesee?biases.fo=3")


def test_options_reach_the_fields_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    usb = plug(monkeypatch, FakeUsb("evk4"))
    text = (
        "camera:evk4?biases.diff_on=20&biases.fo=-7&clock=external&enable_external_trigger=0"
        "&usb.ring_length=1024&rate_limit_hz=20e6&roi=100,50,640,360"
    )
    keywords = {
        "biases": {"diff_on": 20, "fo": -7},
        "clock": nd.prophesee_evk4.Clock.EXTERNAL,
        "enable_external_trigger": False,
        "usb": {"ring_length": 1024},
        "rate_limit_hz": 20e6,
        "roi": (100, 50, 640, 360),
    }
    for arguments in (((text,), {}), (("camera:evk4",), keywords)):
        open_camera(*arguments[0], **arguments[1]).close()
        configuration = usb.arguments["configuration"]
        assert configuration.biases == nd.prophesee_evk4.Biases(diff_on=20, fo=-7)
        assert configuration.clock == nd.prophesee_evk4.Clock.EXTERNAL
        assert configuration.enable_external_trigger is False
        limiter = configuration.rate_limiter
        assert limiter.maximum_events_per_period / limiter.reference_period_us == 20
        assert usb.arguments["ring_configuration"].ring_length == 1024
        # The mask as rendered by the library: true where pixels are on.
        mask = nd.RowColumnMask(1280, 720, set=False)
        for axis, words in (("x_unpacked", "x_mask"), ("y_unpacked", "y_mask")):
            bits = np.array(getattr(configuration, words), "<u8").view(np.uint8)
            unpacked = np.unpackbits(bits, bitorder="little").astype(bool)
            setattr(mask, axis, unpacked[: len(getattr(mask, axis))])
        rows, columns = np.nonzero(mask.pixels())
        assert (columns.min(), columns.max()) == (100, 739)
        assert (rows.min(), rows.max()) == (50, 409)
        assert len(rows) == 640 * 360


def test_the_region_of_a_davis(monkeypatch: pytest.MonkeyPatch) -> None:
    usb = plug(monkeypatch, FakeUsb("davis346"))
    open_camera("camera:davis346?roi=10,20,100,50&polarity_filter=mask_on").close()
    configuration = usb.arguments["configuration"]
    assert configuration.region_of_interest == nd.inivation_davis346.RegionOfInterest(
        left=10, top=20, width=100, height=50
    )
    assert configuration.polarity_filter == nd.inivation_davis346.PolarityFilter.MASK_ON


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "evk4?biases.diff_on=40000",
            "biases.diff_on = 40000: .*-32768",
        ),
        ("evk3?biases.diff_on=-1", "from 0 to 255"),
        ("evk4?biases.diff_on=1.5", "a whole number"),
        ("evk4?biases.wrong=1", "biases.pr, biases.fo,"),
        ("evk4?colour=1", "rate_limiter.reference_period_us"),
        ("evk4?clock=sundial", "internal, internal_with_output_enabled, external"),
        ("evk4?enable_output=perhaps", "1 or 0"),
        ("evk4?rate_limiter.reference_period_us=100", "rate_limiter.maximum_events_per_period"),
        ("evk4?clock.x=1", "clock.x"),
        ("evk4?x_mask=1", "x_mask"),
        ("evk4?rate_limit_hz=none", "a number above 0"),
        ("evk4?roi=0,0,1281,720", "1280×720"),
        ("evk4?roi=0,0,0,720", "roi = '0,0,0,720'"),
        ("evk4?roi=1,2,3", "x,y,width,height"),
        ("evk4?usb.ring_length=-1", "usb.ring_length|ring_length = '?-1"),
        ("davis346?rate_limit_hz=1e6", "rate_limit_hz"),
        ("dvxplorer?roi=0,0,10,10", "roi"),
        ("dvxplorer?biases.nrst=5", "1 or 0"),
        ("prophesee?biases.nothing=1", "biases.pr"),
        ("evk4?width=1280&height=720", "width"),
    ],
)
def test_impossible_options(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_camera(f"camera:{name}")


def test_biases_out_of_range_of_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nd.prophesee_evk4
    bounds = module.BiasesBounds(diff_on=module.Bounds(-85, 140))
    usb = plug(monkeypatch, FakeUsb("evk4", bounds=bounds))
    with pytest.raises(ConfigError, match=r"biases.diff_on = 141: .*-85 to 140"):
        open_camera("camera:evk4?biases.diff_on=141")
    assert usb.closed
    open_camera("camera:evk4?biases.diff_on=140").close()


@pytest.mark.parametrize("name", [*MODELS, "prophesee"])
def test_no_camera(name: str) -> None:
    """The real library; disconnect such a camera first."""
    with pytest.raises(CameraError, match=r"no-such-serial .*\(.+\)"):
        open_camera(f"camera:{name}?serial=no-such-serial")
