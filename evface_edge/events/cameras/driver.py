"""What the file of a camera offers: a way to open it, and a driver to read from.

A driver is opened, read and closed by one thread, so that libraries which forbid or corrupt use
from several threads are safe. It knows nothing of rings, reconnection or the order of time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from evface_edge.geometry import SensorSize

#: No call of `Driver.read` waits longer than about this.
POLL_S = 0.02


@dataclass(frozen=True, eq=False)
class Batch:
    """What a driver delivers at once.

    Attributes:
        t, x, y, p: columns (N,) of integers, µs and pixels; p is true or above 0 for brighter.
        overflows: places in the batch before which the driver says that it lost events.
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
    """The source has ended as it should; only a replayed recording does."""


class Driver(Protocol):
    """An open camera.

    Attributes:
        title: which camera it is, for people.
        size: of the sensor.
    """

    title: str
    size: SensorSize

    def read(self) -> Batch | None:
        """The next batch; None when nothing came within about POLL_S.

        Raises:
            CameraError: the camera went away. Other exceptions count as that.
            EndOfStream: there is no more.
        """

    def close(self) -> None:
        """Frees the camera; called once."""


#: Opens the camera; all options were checked before. Raises CameraError when it is not there.
Opener = Callable[[], Driver]


@dataclass(frozen=True)
class Request:
    """A camera that was asked for.

    Attributes:
        camera: its name in the table.
        name: what follows the colon of the URI: a host, a file; for `camera:` the same as `camera`.
        options: of the driver, as text; those that all live sources fraction are taken out.
        size: of the sensor, where the caller named it.
        strict: whether damage of a replayed file is an error.
    """

    camera: str
    name: str
    options: Mapping[str, str]
    size: SensorSize | None = None
    strict: bool = False
