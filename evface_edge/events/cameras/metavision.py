"""Every Metavision camera, including GenX320, with the Python API of OpenEB.

https://github.com/prophesee-ai/openeb, `metavision_core.event_io`. It is built from source for one
version of Python, and is not on the package index. Options: `serial`, `packet_us`, `roi`,
`rate_limit_hz`, and `biases.NAME` with the names of the camera, such as `biases.bias_diff_on=20`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evface_edge.errors import CameraError, ConfigError, first_line
from evface_edge.events.cameras.driver import Batch, Driver, Opener, Request
from evface_edge.events.cameras.options import Region, check_empty, integer, number
from evface_edge.events.cameras.table import Camera
from evface_edge.geometry import SensorSize

_PACKET_US = 2000
#: A packet with so many events ends before `packet_us`.
_PACKET_EVENTS = 200_000


def prepare(request: Request) -> Opener:
    from metavision_core import event_io
    from metavision_core.event_io import raw_reader

    row = request.camera
    options = dict(request.options)
    serial = options.pop("serial", "")
    packet_us = integer("packet_us", options.pop("packet_us", str(_PACKET_US)), 100, 1_000_000)
    roi = options.pop("roi", None)
    region = None if roi is None else Region.parse(roi)
    limit = options.pop("rate_limit_hz", None)
    limit_hz = None if limit is None else round(number("rate_limit_hz", limit))
    biases = {
        key.removeprefix("biases."): integer(key, options.pop(key), -1024, 1024)
        for key in list(options)
        if key.startswith("biases.")
    }
    allowed = ("serial", "packet_us", "roi", "rate_limit_hz", "biases.NAME")
    check_empty(options, "camera:metavision", allowed)

    def open_device() -> Driver:
        try:
            device = raw_reader.initiate_device(serial)
        except (OSError, RuntimeError) as error:
            raise CameraError(
                f"no Metavision camera {serial} could be opened ({first_line(error)}): {row.hint}"
            ) from error
        _set_biases(device, biases)
        if region is not None:
            _set_region(device, region)
        if limit_hz is not None:
            limiter = _facility(device, "get_i_erc_module", "rate_limit_hz")
            limiter.set_cd_event_rate(limit_hz)
            limiter.enable(True)
        events = event_io.EventsIterator.from_device(
            device, mode="mixed", delta_t=packet_us, n_events=_PACKET_EVENTS
        )
        return _Metavision(events, serial, row)

    return open_device


def _facility(device: Any, getter: str, option: str) -> Any:
    facility = getattr(device, getter)()
    if facility is None:
        raise ConfigError(
            option, "given", "a camera with it", reason=f"this camera has no option {option}"
        )
    return facility


def _set_biases(device: Any, biases: dict[str, int]) -> None:
    if not biases:
        return
    facility = _facility(device, "get_i_ll_biases", "biases")
    known = facility.get_all_biases()
    for name, value in biases.items():
        if name not in known:
            raise ConfigError("biases", name, ", ".join(sorted(known)))
        if not facility.set(name, value):
            raise ConfigError(f"biases.{name}", value, "a value that the camera accepts")


def _set_region(device: Any, region: Region) -> None:
    from metavision_hal import I_ROI

    facility = _facility(device, "get_i_roi", "roi")
    facility.set_window(I_ROI.Window(region.x, region.y, region.width, region.height))
    facility.enable(True)


class _Metavision:
    """`read` waits while the camera sends no events: OpenEB has no timeout."""

    def __init__(self, events: Any, serial: str, row: Camera) -> None:
        height, width = events.get_size()
        if not width or not height:
            raise CameraError(f"the camera does not state the size of its sensor: {row.hint}")
        self.size = SensorSize(int(width), int(height))
        self.title = f"Metavision camera {serial}".strip()
        self._packets: Iterator[Any] = iter(events)

    def read(self) -> Batch | None:
        events = next(self._packets, None)
        if events is None:
            raise CameraError(f"{self.title} was disconnected: check its cable")
        if not len(events):
            return None
        return Batch(events["t"], events["x"], events["y"], events["p"])

    def close(self) -> None:
        stop = getattr(self._packets, "close", None)  # a generator, which stops the camera
        if stop is not None:
            stop()
