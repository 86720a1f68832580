"""Prophesee EVK4 and EVK3 HD, iniVation DAVIS346 and DVXplorer, with neuromorphic-drivers.

https://github.com/neuromorphicsystems/neuromorphic-drivers (extras: prophesee, inivation). Options
are the fields of the library's configuration classes: `biases.diff_on=20`, or
`usb.ring_length=1024` for its ring buffer of USB packets. `roi` and `rate_limit_hz` set the fields
that the camera has for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from evface_edge.errors import CameraError, ConfigError, first_line
from evface_edge.events.cameras.driver import POLL_S, Batch, Driver, Opener, Request
from evface_edge.events.cameras.options import Region, build_config, number, option_names
from evface_edge.events.cameras.table import Camera
from evface_edge.geometry import SensorSize

#: Cameras of the table → modules of the library that describe them.
_MODELS = {
    "prophesee": ("prophesee_evk4", "prophesee_evk3_hd"),
    "evk4": ("prophesee_evk4",),
    "evk3": ("prophesee_evk3_hd",),
    "davis346": ("inivation_davis346",),
    "dvxplorer": ("inivation_dvxplorer",),
}
#: 64 MiB of USB packets for an EVK4. The default of the library, 4,096, is 512 MiB.
_RING_LENGTH = "512"
#: The longest period over which the EVK4 counts events to limit their rate.
_LIMIT_PERIOD_US = 200


def prepare(request: Request) -> Opener:
    """Builds the configurations of all models that may be connected."""
    import neuromorphic_drivers as nd

    options = dict(request.options)
    serial = options.pop("serial", None)
    ring = {"ring_length": _RING_LENGTH}
    for key in [key for key in options if key.startswith("usb.")]:
        ring[key.removeprefix("usb.")] = options.pop(key)
    candidates: list[tuple[Any, Any]] = []
    invalid: ConfigError | None = None
    for name in _MODELS[request.camera.name]:
        model = getattr(nd, name)
        try:
            candidates.append(
                (_configuration(nd, model, options), build_config(model.RingConfiguration, ring))
            )
        except ConfigError as error:
            invalid = invalid or error
    if not candidates and invalid is not None:
        raise invalid
    return lambda: _open(nd, request.camera, candidates, serial)


def _configuration(nd: Any, model: Any, options: dict[str, str]) -> Any:
    """A Configuration of the library.

    Raises:
        ConfigError: the model does not have an option, or a value is out of range.
    """
    options = dict(options)
    roi, limit = options.pop("roi", None), options.pop("rate_limit_hz", None)
    size = SensorSize(model.Properties.width, model.Properties.height)
    names = option_names(model.Configuration)
    if limit is not None:
        if "rate_limiter.reference_period_us" not in names:
            raise ConfigError(
                "rate_limit_hz",
                limit,
                "a camera with a rate limiter",
                reason="this camera has no option rate_limit_hz",
            )
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
    configuration = build_config(model.Configuration, options)
    if region is not None and "region_of_interest.left" not in names:
        if not hasattr(configuration, "x_mask"):
            raise ConfigError(
                "roi",
                roi,
                "a camera with a region of interest",
                reason="this camera has no option roi",
            )
        # Set bits mask pixels; the library counts rows from the bottom.
        mask = nd.RowColumnMask(width=size.width, height=size.height, set=True)
        bottom = size.height - region.y - region.height
        mask.clear_rectangle(region.x, bottom, region.width, region.height)
        configuration.x_mask, configuration.y_mask = mask.x_mask(), mask.y_mask()
    configuration.serialize()
    return configuration


def _open(nd: Any, row: Camera, candidates: list[tuple[Any, Any]], serial: str | None) -> Driver:
    messages: list[str] = []
    for configuration, ring in candidates:
        try:
            device = nd.open(
                configuration=configuration,
                iterator_timeout=POLL_S,
                serial=serial,
                ring_configuration=ring,
            )
        except RuntimeError as error:
            messages.append(first_line(error))
            continue
        try:
            _check_biases(device, configuration)
        except ConfigError:
            device.close()
            raise
        return _Neuromorphic(device)
    which = row.title if serial is None else f"{row.title} with the serial number {serial}"
    # "Other error" is the message of the library if there is no USB bus.
    reasons = ["no USB bus" if text == "Other error" else text for text in dict.fromkeys(messages)]
    raise CameraError(f"no {which} was found ({'; '.join(reasons)}): {row.hint}")


def _check_biases(device: Any, configuration: Any) -> None:
    """Raises ConfigError if a bias is outside the range of the connected camera."""
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
