"""Drivers of cameras, cameras on the USB bus, and the udev rules that let everybody open them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import NamedTuple

from evface_edge.doctor.finding import Finding, State, try_import
from evface_edge.events.cameras.table import CAMERAS, Camera

#: Where Linux lists what is on the bus, where its device files are, and where rules may lie.
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
#: A rule that says who may open the device.
_GRANT = re.compile(r'\b(MODE|GROUP|TAG)\b\s*[+:]?=\s*"')


class UsbCamera(NamedTuple):
    """A camera of the table on the bus: its make, vendor:product, and its device file."""

    make: str
    ids: str
    node: Path


def drivers(cameras: Sequence[Camera] = CAMERAS) -> Iterator[Finding]:
    """One finding for each library that talks to cameras."""
    for library in dict.fromkeys(row.library for row in cameras if row.library.name):
        rows = [row for row in cameras if row.library == library]
        state, text = try_import(library.module)
        opens = ", ".join(f"{row.scheme}:{row.name}" for row in rows)
        mend = "" if state is State.OK else " or ".join(dict.fromkeys(r.install for r in rows))
        yield Finding(library.name, state, f"{text}; for {opens}", mend)


def plugged_in(
    sys_usb: Path = SYS_USB, dev_usb: Path = DEV_USB, cameras: Sequence[Camera] = CAMERAS
) -> Iterator[Finding]:
    """Event cameras on the USB bus, and whether this user may open them."""
    name = "cameras on USB"
    if not sys_usb.is_dir():
        text = f"no USB bus ({sys_usb} is absent); a container gets it by --device /dev/bus/usb"
        yield Finding(name, State.MISSING, text)
        return
    found = list(_on_bus(sys_usb, dev_usb, cameras))
    if not found:
        yield Finding(name, State.MISSING, "none is plugged in")
    for camera in found:
        label = f"{camera.make} ({camera.ids})"
        if not camera.node.exists():
            text = f"on the bus, and {camera.node} is absent: hand the bus through to the container"
            yield Finding(label, State.BROKEN, text)
        elif os.access(camera.node, os.R_OK | os.W_OK):
            yield Finding(label, State.OK, f"{camera.node} may be opened")
        else:
            text = f"{camera.node} may not be opened by this user"
            yield Finding(label, State.BROKEN, text, _install_rules(_all_rules(cameras)))


def udev_rules(
    folders: Iterable[Path] = RULE_FOLDERS, cameras: Sequence[Camera] = CAMERAS
) -> Iterator[Finding]:
    """Whether the rules of each make of camera are in place, whoever put them there."""
    granted = [ids for folder in folders for path in _rule_files(folder) for ids in _grants(path)]
    for maker in dict.fromkeys(row.maker for row in cameras if row.maker.udev):
        rules = maker.udev
        lacking = [rule for rule in rules if not _covered(rule, granted)]
        name = f"udev rules, {maker.name}"
        if not lacking:
            yield Finding(name, State.OK, "in place")
        else:
            text = f"{len(lacking)} of {len(rules)} absent: root alone can open such a camera"
            yield Finding(name, State.MISSING, text, _install_rules(lacking))


def _on_bus(sys_usb: Path, dev_usb: Path, cameras: Sequence[Camera]) -> Iterator[UsbCamera]:
    for device in sorted(sys_usb.iterdir()):
        try:
            vendor, product, bus, number = (
                (device / name).read_text().strip()
                for name in ("idVendor", "idProduct", "busnum", "devnum")
            )
        except OSError:
            continue  # an interface of a device, or it was unplugged
        for row in cameras:
            if any((vendor, product) in _ids(rule) for rule in row.maker.udev):
                node = dev_usb / f"{int(bus):03}" / f"{int(number):03}"
                yield UsbCamera(row.maker.name, f"{vendor}:{product}", node)
                break


def _rule_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.rules")) if folder.is_dir() else []


def _grants(path: Path) -> Iterator[frozenset[tuple[str, str]]]:
    """The (vendor, product) that each rule of a file grants access to."""
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
    """All (vendor, product) that a rule speaks of; its patterns are those of a shell."""
    conditions = dict(_CONDITION.findall(rule))
    vendor = conditions.get("idVendor", "").lower()
    pattern = re.compile(translate(conditions.get("idProduct", "*").lower()))
    products = (f"{number:04x}" for number in range(1 << 16))
    return frozenset((vendor, product) for product in products if pattern.match(product))


def _all_rules(cameras: Sequence[Camera]) -> list[str]:
    return list(dict.fromkeys(rule for row in cameras for rule in row.maker.udev))


def _install_rules(rules: Sequence[str]) -> str:
    quoted = " ".join(f"'{rule}'" for rule in rules)
    return f"printf '%s\\n' {quoted} | sudo tee -a {_RULE_FILE} && {_RELOAD}"
