"""iniVation cameras, with dv-processing 2 (extra: inivation).

https://dv-processing.inivation.com. Options: `serial`, `roi`, `readout_fps`, and those in
`_SETTINGS`, if the camera has them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from evface_edge.errors import CameraError, ConfigError, first_line
from evface_edge.events.cameras.driver import Batch, Driver, Opener, Request
from evface_edge.events.cameras.options import Region, check_empty, integer
from evface_edge.events.cameras.table import Camera
from evface_edge.geometry import SensorSize

#: Option → the setter of the camera classes, which takes an integer.
_SETTINGS = {
    "contrast_threshold_on": "setContrastThresholdOn",
    "contrast_threshold_off": "setContrastThresholdOff",
    "background_activity_250us": "setBackgroundActivityFilter",
    "refractory_period_250us": "setRefractoryPeriodFilter",
}
_IDLE_S = 0.001


def prepare(request: Request) -> Opener:
    import dv_processing as dv

    options = dict(request.options)
    serial = options.pop("serial", None)
    roi = options.pop("roi", None)
    region = None if roi is None else Region.parse(roi)
    fps = options.pop("readout_fps", None)
    frame_rates = dv.io.camera.DVXplorer.ReadoutFPS.__members__
    if fps is not None and fps not in frame_rates:
        raise ConfigError("readout_fps", fps, ", ".join(frame_rates))
    settings = {
        name: integer(name, options.pop(name), 0, 1 << 20) for name in _SETTINGS if name in options
    }
    check_empty(options, "camera:inivation", ("serial", "roi", "readout_fps", *_SETTINGS))

    def configure(camera: Any) -> None:
        for name, value in settings.items():
            _setter(camera, name, _SETTINGS[name])(value)
        if fps is not None:
            rates = getattr(type(camera), "ReadoutFPS", None)
            setter = _setter(camera, "readout_fps", "setReadoutFPS")
            setter(getattr(rates, fps))
        if region is not None:
            Region.parse(str(roi), _size(camera))
            camera.setCropArea((region.x, region.y, region.width, region.height))

    return lambda: _open(dv, request.camera, serial, configure)


def _setter(camera: Any, option: str, name: str) -> Callable[[Any], None]:
    setter: Callable[[Any], None] | None = getattr(camera, name, None)
    if setter is None:
        raise ConfigError(
            option, "given", "a camera with it", reason=f"this camera has no option {option}"
        )
    return setter


def _open(dv: Any, row: Camera, serial: str | None, configure: Callable[[Any], None]) -> Driver:
    try:
        camera = dv.io.camera.open() if serial is None else dv.io.camera.open(serial)
    except IndexError:  # the list of cameras is empty
        raise CameraError(f"no iniVation camera was found: {row.hint}") from None
    except RuntimeError as error:
        which = "" if serial is None else f" with the serial number {serial}"
        raise CameraError(
            f"no iniVation camera{which} could be opened ({_message(error)}): {row.hint}"
        ) from error
    configure(camera)
    return _Inivation(camera)


def _size(camera: Any) -> SensorSize:
    resolution = camera.getEventResolution()
    if resolution is None:
        raise CameraError(f"{camera.getCameraName()} has no event stream")
    return SensorSize(int(resolution[0]), int(resolution[1]))


def _message(error: Exception) -> str:
    """The message of an error, without the source location of the library before it."""
    match = re.search(r"^\w*Error: (.+)$", str(error), re.MULTILINE)
    return match[1].strip() if match else first_line(error)


class _Inivation:
    def __init__(self, camera: Any) -> None:
        self._camera: Any = camera
        self.size = _size(camera)
        self.title = f"iniVation {camera.getCameraName()}"

    def read(self) -> Batch | None:
        try:
            store = self._camera.getNextEventBatch()
            if store is None and not self._camera.isRunning():
                raise CameraError(f"{self.title} was disconnected: check its cable")
        except RuntimeError as error:
            raise CameraError(
                f"{self.title} was disconnected ({_message(error)}): check its cable"
            ) from error
        if store is None:
            time.sleep(_IDLE_S)
            return None
        events = store.numpy()
        return Batch(events["timestamp"], events["x"], events["y"], events["polarity"])

    def close(self) -> None:
        self._camera = None  # the library closes the camera when it is no longer referenced
