"""The table of cameras. To add a camera, add a row here and a file beside this one.

`driver.py` defines what the file of a camera offers. It is imported when it is first needed.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from evface_edge.errors import ConfigError, RuntimeUnavailable
from evface_edge.events.uri import SourceName

if TYPE_CHECKING:
    from evface_edge.events.cameras.driver import Opener, Request


@dataclass(frozen=True)
class Maker:
    """A maker of cameras.

    Attributes:
        name: empty for sources that are not cameras.
        udev: lines of a file in /etc/udev/rules.d that allow every user to open the cameras.
    """

    name: str = ""
    udev: tuple[str, ...] = ()


@dataclass(frozen=True)
class Library:
    """A library that controls cameras.

    Attributes:
        name: of the package; empty where none is needed.
        module: that is imported.
        install: how to install it, with EXTRA for the extra of the camera.
    """

    name: str = ""
    module: str = ""
    install: str = ""


@dataclass(frozen=True)
class Camera:
    """A row of the table.

    Attributes:
        name: the part of the URI after `camera:`, or the scheme itself.
        title: for people.
        module: with the driver, in this package.
        scheme: of its URIs.
    """

    name: str
    title: str
    module: str
    library: Library = Library()
    maker: Maker = Maker()
    scheme: str = "camera"

    def prepare(self, request: Request) -> Opener:
        """Checks the options of the request, and returns a function that opens the camera.

        Raises:
            ConfigError: an unknown option, or an impossible value.
            RuntimeUnavailable: the library is not installed.
        """
        module = importlib.import_module(f"evface_edge.events.cameras.{self.module}")
        try:
            return cast("Opener", module.prepare(request))
        except ImportError as error:
            if not self.library.name:
                raise
            raise RuntimeUnavailable(
                f"{self.title}: {self.library.name} is not installed", fix=self._how_to_install
            ) from error

    @property
    def install(self) -> str:
        """How to install its library; empty where none is needed."""
        return self.library.install.replace("EXTRA", self.maker.name.lower())

    @property
    def _how_to_install(self) -> str:
        rules = "".join(f"\n    {line}" for line in self.maker.udev)
        return (
            f"{self.install}; on Linux also allow every user to open it, in "
            f"/etc/udev/rules.d/65-event-cameras.rules:{rules}"
        )

    @property
    def hint(self) -> str:
        """What to check if the camera is not found."""
        udev = ", and the udev rules (docs/how-to/use-a-camera.md) if access is denied"
        return (
            "check its cable and power, and that no other program uses it"
            f"{udev if self.maker.udev else ''}"
        )


def _rule(vendor: str, product: str) -> str:
    match = f'ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}"'
    return f'SUBSYSTEM=="usb", {match}, MODE="0666"'


_INIVATION = Maker("iniVation", (_rule("152a", "84[0-1]?"),))
_PROPHESEE = Maker(
    "Prophesee", (_rule("04b4", "00f[4-5]"), _rule("03fd", "5832"), _rule("1fc9", "5838"))
)

_EXTRA = "pip install 'evface-edge[EXTRA]'"
_NEUROMORPHIC = Library("neuromorphic-drivers", "neuromorphic_drivers", _EXTRA)
_DV = Library("dv-processing", "dv_processing", _EXTRA)
_OPENEB = Library(
    "OpenEB",
    "metavision_core",
    "build version 5 for this Python (https://docs.prophesee.ai); the package `metavision` on the "
    "Python index is something else",
)

CAMERAS: tuple[Camera, ...] = (
    Camera("prophesee", "Prophesee EVK4 or EVK3 HD", "neuromorphic", _NEUROMORPHIC, _PROPHESEE),
    Camera("evk4", "Prophesee EVK4", "neuromorphic", _NEUROMORPHIC, _PROPHESEE),
    Camera("evk3", "Prophesee EVK3 HD", "neuromorphic", _NEUROMORPHIC, _PROPHESEE),
    Camera("inivation", "iniVation camera", "inivation", _DV, _INIVATION),
    Camera("davis346", "iniVation DAVIS346", "neuromorphic", _NEUROMORPHIC, _INIVATION),
    Camera("dvxplorer", "iniVation DVXplorer", "neuromorphic", _NEUROMORPHIC, _INIVATION),
    Camera("metavision", "Metavision camera", "metavision", _OPENEB, _PROPHESEE),
    Camera("dv", "DV network stream", "dv_network", scheme="dv"),
    Camera("replay", "recording replayed in real time", "replay", scheme="replay"),
)

#: Schemes of their URIs.
SCHEMES = tuple(sorted({row.scheme for row in CAMERAS}))


def find(name: SourceName) -> Camera:
    """The row of a URI; ConfigError if there is none."""
    rows = {row.name: row for row in CAMERAS if row.scheme == name.scheme}
    row = rows.get(name.scheme if name.scheme in rows else name.name.lower())
    if row is None:
        allowed = ", ".join(f"{name.scheme}:{key}" for key in rows) or ", ".join(SCHEMES)
        raise ConfigError("camera", f"{name.scheme}:{name.name}", allowed)
    return row
