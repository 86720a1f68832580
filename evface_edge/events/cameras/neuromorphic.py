"""Prophesee EVK4 and EVK3 HD, iniVation DAVIS346 and DVXplorer, through neuromorphic-drivers.

https://github.com/neuromorphicsystems/neuromorphic-drivers (extras: prophesee, inivation). Options
are the fields of the library's own configuration classes, with dots: `biases.diff_on=20`,
`usb.ring_length=1024` for the ring in which it keeps USB packets. `roi` and `rate_limit_hz` are
put into the fields that each camera has for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from evface_edge.errors import CameraError, ConfigError
from evface_edge.events.cameras import Camera, find
from evface_edge.events.cameras.driver import POLL_S, Batch, Driver, Opener, Request
from evface_edge.events.cameras.options import Region, configured, number, settable
from evface_edge.events.contents import reason
from evface_edge.events.uri import SourceName
from evface_edge.geometry import SensorSize

#: Cameras of the table → modules of the library that describe them.
_MODELS = {
    "prophesee": ("prophesee_evk4", "prophesee_evk3_hd"),
    "evk4": ("prophesee_evk4",),
    "evk3": ("prophesee_evk3_hd",),
    "davis346": ("inivation_davis346",),
    "dvxplorer": ("inivation_dvxplorer",),
}
#: 64 MiB of USB packets for an EVK4; the library's own 4,096 come to 512 MiB, for consumers that
#: drain it late.
_RING_LENGTH = "512"
#: The longest period over which the EVK4 counts events to limit their rate.
_LIMIT_PERIOD_US = 200


def prepare(request: Request) -> Opener:
    """Options → configurations, one for each model that may be found."""
    import neuromorphic_drivers as nd

    row = find(SourceName("camera", request.camera))
    options = dict(request.options)
    serial = options.pop("serial", None)
    ring = {"ring_length": _RING_LENGTH}
    for key in [key for key in options if key.startswith("usb.")]:
        ring[key.removeprefix("usb.")] = options.pop(key)
    candidates: list[tuple[Any, Any]] = []
    wrong: ConfigError | None = None
    for name in _MODELS[request.camera]:
        model = getattr(nd, name)
        try:
            candidates.append(
                (_configuration(nd, model, options), configured(model.RingConfiguration, ring))
            )
        except ConfigError as error:
            wrong = wrong or error
    if not candidates and wrong is not None:
        raise wrong
    return lambda: _open(nd, row, candidates, serial)


def _configuration(nd: Any, model: Any, options: dict[str, str]) -> Any:
    """A Configuration of the library.

    Raises:
        ConfigError: an option that this model does not have, or a value out of its range.
    """
    options = dict(options)
    roi, limit = options.pop("roi", None), options.pop("rate_limit_hz", None)
    size = SensorSize(model.Properties.width, model.Properties.height)
    names = settable(model.Configuration)
    if limit is not None:
        if "rate_limiter.reference_period_us" not in names:
            raise ConfigError("rate_limit_hz", limit, "nothing: this camera has no limiter")
        events = max(1, round(number("rate_limit_hz", limit) * _LIMIT_PERIOD_US / 1e6))
        options["rate_limiter.reference_period_us"] = str(_LIMIT_PERIOD_US)
        options["rate_limiter.maximum_events_per_period"] = str(events)
    region = None if roi is None else Region.parse(roi, size)
    if region is not None and "region_of_interest.left" in names:
        options |= {
            "region_of_interest.left": str(region.x),
            "region_of_interest.top": str(region.y),
            "region_of_interest.width": str(region.width),
            "region_of_interest.height": str(region.height),
        }
    configuration = configured(model.Configuration, options)
    if region is not None and "region_of_interest.left" not in names:
        if not hasattr(configuration, "x_mask"):
            raise ConfigError("roi", roi, "nothing: this camera sends its whole sensor")
        # Set bits are pixels to leave out; the library counts rows from the bottom.
        mask = nd.RowColumnMask(width=size.width, height=size.height, set=True)
        bottom = size.height - region.y - region.height
        mask.clear_rectangle(region.x, bottom, region.width, region.height)
        configuration.x_mask, configuration.y_mask = mask.x_mask(), mask.y_mask()
    configuration.serialize()
    return configuration


def _open(nd: Any, row: Camera, candidates: list[tuple[Any, Any]], serial: str | None) -> Driver:
    told: list[str] = []
    for configuration, ring in candidates:
        try:
            device = nd.open(
                configuration=configuration,
                iterator_timeout=POLL_S,
                serial=serial,
                ring_configuration=ring,
            )
        except RuntimeError as error:
            told.append(reason(error))
            continue
        try:
            _check_biases(device, configuration)
        except ConfigError:
            device.close()
            raise
        return _Neuromorphic(device)
    which = row.title if serial is None else f"{row.title} with the serial number {serial}"
    # Without any USB bus the library says no more than this.
    facts = ["no USB bus" if text == "Other error" else text for text in dict.fromkeys(told)]
    raise CameraError(f"no {which} was found ({'; '.join(facts)}): {row.hint}")


def _check_biases(device: Any, configuration: Any) -> None:
    """
    Raises:
        ConfigError: a bias outside what this very camera allows, where the library knows that.
    """
    bounds = device.biases_bounds()
    for field in dataclasses.fields(bounds):
        bound, value = getattr(bounds, field.name), getattr(configuration.biases, field.name)
        if bound.minimum < bound.maximum and not bound.minimum <= value <= bound.maximum:
            raise ConfigError(f"biases.{field.name}", value, f"{bound.minimum} to {bound.maximum}")


class _Neuromorphic:
    def __init__(self, device: Any) -> None:
        self._device = device
        properties = device.properties()
        self.size = SensorSize(properties.width, properties.height)
        self.title = f"{device.name().value} {device.serial()}"
        self._next: Callable[[], Any] = iter(device).__next__
        self._dropped = 0

    def read(self) -> Batch | None:
        status, packet = self._next()
        if status.ring is None:
            return None
        dropped = status.ring.dropped_packets - self._dropped
        self._dropped += dropped
        events = None if packet is None else packet.polarity_events
        if events is None:
            return Batch((), (), (), (), 0, status.ring.backlog, dropped)  # type: ignore[arg-type]
        lost = packet.polarity_events_overflow_indices
        return Batch(
            events["t"],
            events["x"],
            events["y"],
            events["on"],
            overflows=0 if lost is None else len(lost),
            driver_backlog=status.ring.backlog,
            driver_dropped=dropped,
        )

    def close(self) -> None:
        self._device.close()
