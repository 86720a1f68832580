"""The interface of a camera module.

A module in this package offers `prepare(request: Request) -> Opener`: it checks the options,
imports the library it needs, and returns a function that opens the camera.

A driver is opened, read and closed by one thread, as some libraries forbid or corrupt use from
several threads. Queue, reconnection and validation are the work of `live.LiveSource`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from evface_edge.events.damage import Damage
from evface_edge.geometry import SensorSize

if TYPE_CHECKING:
    from evface_edge.events.cameras.table import Camera

#: `Driver.read` waits about this long at most.
POLL_S = 0.02


@dataclass(frozen=True, eq=False)
class Batch:
    """Events that a driver delivers at once.

    Attributes:
        t, x, y, p: columns (N,) of integers, µs and pixels; p is true or above 0 for brighter.
        overflows: places in the batch before which the driver lost events.
        driver_backlog: packets that wait inside the driver.
        driver_dropped: packets that the driver lost since the last batch.
    """

    t: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    p: NDArray[Any]
    overflows: int = 0
    driver_backlog: int = 0
    driver_dropped: int = 0


class EndOfStream(Exception):
    """The source has ended normally; only a replayed recording does."""


class Driver(Protocol):
    """An open camera.

    Attributes:
        title: name and serial number of the camera, for people.
        size: of the sensor.
    """

    title: str
    size: SensorSize

    def read(self) -> Batch | None:
        """The next batch; None if there is none within about POLL_S.

        Raises:
            CameraError: the camera was disconnected. Other exceptions count as that.
            EndOfStream: there are no more events.
        """

    def close(self) -> None:
        """Releases the camera; called once."""


#: Opens the camera, whose options were checked before. Raises CameraError if it is not available.
Opener = Callable[[], Driver]


@dataclass(frozen=True)
class Request:
    """A request to open a camera.

    Attributes:
        camera: its row of the table.
        name: the part of the URI after the colon: a host, a file, or the name of the camera.
        options: of the driver, as text, without those that all live sources share.
        size: of the sensor, if the caller gave it.
        damage: policy, for a replayed recording.
    """

    camera: Camera
    name: str
    options: Mapping[str, str]
    size: SensorSize | None = None
    damage: Damage = "skip"
