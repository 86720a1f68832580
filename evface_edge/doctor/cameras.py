"""Checks of camera drivers, cameras on the USB bus and udev rules."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import NamedTuple

from evface_edge.doctor.check_result import CheckResult, Status, try_import
from evface_edge.events.cameras.table import CAMERAS, Camera

#: Where Linux lists USB devices, their device files, and udev rules.
SYS_USB = Path("/sys/bus/usb/devices")
DEV_USB = Path("/dev/bus/usb")
RULE_FOLDERS = tuple(
    Path(folder)
    for folder in (
        "/etc/udev/rules.d",
        "/run/udev/rules.d",
        "/usr/local/lib/udev/rules.d",
        "/usr/lib/udev/rules.d",
        "/lib/udev/rules.d",
    )
)
_RULE_FILE = "/etc/udev/rules.d/65-event-cameras.rules"
_RELOAD = "sudo udevadm control --reload-rules && sudo udevadm trigger"
_CONDITION = re.compile(r'ATTRS?\{(idVendor|idProduct)\}\s*==\s*"([^"]*)"')
#: The part of a rule that grants access.
_GRANT = re.compile(r'\b(MODE|GROUP|TAG)\b\s*[+:]?=\s*"')


class UsbCamera(NamedTuple):
    """A camera on the bus: its make, vendor:product and device file."""

    make: str
    ids: str
    node: Path


def drivers(cameras: Sequence[Camera] = CAMERAS) -> Iterator[CheckResult]:
    """Check each camera library."""
    for library in dict.fromkeys(row.library for row in cameras if row.library.name):
        rows = [row for row in cameras if row.library == library]
        status, detail = try_import(library.module)
        uris = ", ".join(f"{row.scheme}:{row.name}" for row in rows)
        fix = "" if status is Status.OK else " or ".join(dict.fromkeys(r.install for r in rows))
        yield CheckResult(library.name, status, f"{detail}; for {uris}", fix)


def connected(
    sys_usb: Path = SYS_USB, dev_usb: Path = DEV_USB, cameras: Sequence[Camera] = CAMERAS
) -> Iterator[CheckResult]:
    """Check which event cameras are on the USB bus and whether this user may open them."""
    name = "cameras on USB"
    if not sys_usb.is_dir():
        detail = f"no USB bus: {sys_usb} does not exist; start a container with --device {DEV_USB}"
        yield CheckResult(name, Status.MISSING, detail)
        return
    cameras_on_bus = list(_on_bus(sys_usb, dev_usb, cameras))
    if not cameras_on_bus:
        yield CheckResult(name, Status.MISSING, "no event camera is connected")
    for camera in cameras_on_bus:
        label = f"{camera.make} ({camera.ids})"
        if not camera.node.exists():
            detail = f"{camera.node} does not exist; start the container with --device {DEV_USB}"
            yield CheckResult(label, Status.BROKEN, detail)
        elif os.access(camera.node, os.R_OK | os.W_OK):
            yield CheckResult(label, Status.OK, f"{camera.node} can be opened")
        else:
            fix = _install_rules(
                list(dict.fromkeys(rule for row in cameras for rule in row.maker.udev))
            )
            detail = f"this user has no permission to open {camera.node}"
            yield CheckResult(label, Status.BROKEN, detail, fix)


def udev_rules(
    folders: Iterable[Path] = RULE_FOLDERS, cameras: Sequence[Camera] = CAMERAS
) -> Iterator[CheckResult]:
    """Check that udev rules for each make of camera are installed, in any file."""
    granted = [ids for folder in folders for path in _rule_files(folder) for ids in _grants(path)]
    for maker in dict.fromkeys(row.maker for row in cameras if row.maker.udev):
        rules = maker.udev
        missing = [rule for rule in rules if not _covered(rule, granted)]
        name = f"udev rules, {maker.name}"
        if not missing:
            yield CheckResult(name, Status.OK, "installed")
        else:
            detail = f"{len(missing)} of {len(rules)} missing: only root can open such a camera"
            yield CheckResult(name, Status.MISSING, detail, _install_rules(missing))


def _on_bus(sys_usb: Path, dev_usb: Path, cameras: Sequence[Camera]) -> Iterator[UsbCamera]:
    for device in sorted(sys_usb.iterdir()):
        try:
            vendor, product, bus, number = (
                (device / name).read_text().strip()
                for name in ("idVendor", "idProduct", "busnum", "devnum")
            )
        except OSError:
            continue  # an interface of a device, or unplugged meanwhile
        for row in cameras:
            if any((vendor, product) in _ids(rule) for rule in row.maker.udev):
                node = dev_usb / f"{int(bus):03}" / f"{int(number):03}"
                yield UsbCamera(row.maker.name, f"{vendor}:{product}", node)
                break


def _rule_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.rules")) if folder.is_dir() else []


def _grants(path: Path) -> Iterator[frozenset[tuple[str, str]]]:
    """Yield the (vendor, product) pairs that each rule of a file grants access to."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    for line in text.replace("\\\n", " ").splitlines():
        if not line.lstrip().startswith("#") and _GRANT.search(line) and "idVendor" in line:
            yield _ids(line)


def _covered(rule: str, granted: list[frozenset[tuple[str, str]]]) -> bool:
    return _ids(rule) <= frozenset().union(*granted)


@cache
def _ids(rule: str) -> frozenset[tuple[str, str]]:
    """Return the (vendor, product) pairs that match a rule; it may have shell patterns."""
    conditions = dict(_CONDITION.findall(rule))
    vendor = conditions.get("idVendor", "").lower()
    pattern = re.compile(translate(conditions.get("idProduct", "*").lower()))
    products = (f"{number:04x}" for number in range(1 << 16))
    return frozenset((vendor, product) for product in products if pattern.match(product))


def _install_rules(rules: Sequence[str]) -> str:
    quoted = " ".join(f"'{rule}'" for rule in rules)
    return f"printf '%s\\n' {quoted} | sudo tee -a {_RULE_FILE} && {_RELOAD}"
