"""Checks of Python, the required packages and the extras."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import InvalidVersion

from evface_edge.doctor.check_result import CheckResult, Status, worst

OLDEST_PYTHON = (3, 10)
#: The release file of JetPack.
TEGRA_RELEASE = Path("/etc/nv_tegra_release")

NAME = "evface-edge"
#: Extras that contain other extras, or are for developers only.
_SKIPPED_EXTRAS = {"all", "dev", "peers", "test"}

#: Name of a distribution → its version, or PackageNotFoundError.
VersionOf = Callable[[str], str]


def system(
    python: tuple[int, int] = sys.version_info[:2], tegra_release: Path = TEGRA_RELEASE
) -> Iterator[CheckResult]:
    """Check Python; report the machine and the version of this package."""
    detail = f"{platform.python_version()} in {sys.prefix}"
    if python >= OLDEST_PYTHON:
        yield CheckResult("python", Status.OK, detail)
    else:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        yield CheckResult("python", Status.BROKEN, f"{detail}; expected {oldest} or newer")
    machine = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if tegra_release.is_file():
        machine += f", Jetson {tegra_release.read_text(errors='replace').partition(', GCID')[0]}"
    yield CheckResult("machine", Status.OK, machine)
    from evface_edge import __version__

    yield CheckResult(NAME, Status.OK, __version__)


def base(
    requirements: Sequence[str] | None = None, version_of: VersionOf = metadata.version
) -> Iterator[CheckResult]:
    """Check the required packages."""
    for requirement in _parsed(requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            status, detail = _installed(requirement, version_of)
            if status is Status.OK:
                yield CheckResult(requirement.name, status, detail)
            else:
                fix = f"pip install '{requirement.name}{requirement.specifier}'"
                yield CheckResult(requirement.name, Status.BROKEN, detail, fix)


def extras(
    requirements: Sequence[str] | None = None, version_of: VersionOf = metadata.version
) -> Iterator[CheckResult]:
    """Check each extra: complete, incomplete, or too old."""
    parsed = _parsed(requirements)
    names = {
        extra
        for requirement in parsed
        if requirement.name != NAME
        for extra in re.findall(r'extra == "(.+?)"', str(requirement.marker))
    }
    for extra in sorted(names - _SKIPPED_EXTRAS):
        installed = {
            requirement.name: _installed(requirement, version_of)
            for requirement in parsed
            if requirement.marker is not None
            and requirement.marker.evaluate({"extra": extra})
            and not requirement.marker.evaluate({"extra": ""})
        }
        if not installed:
            yield CheckResult(f"[{extra}]", Status.MISSING, "not available for this platform")
            continue
        status = worst({status for status, _ in installed.values()})
        detail = ", ".join(f"{name} {text}" for name, (_, text) in installed.items())
        fix = "" if status is Status.OK else f"pip install '{NAME}[{extra}]'"
        yield CheckResult(f"[{extra}]", status, detail, fix)


def _parsed(requirements: Sequence[str] | None) -> list[Requirement]:
    if requirements is None:
        requirements = metadata.requires(NAME) or ()
    return [Requirement(text) for text in requirements]


def _installed(requirement: Requirement, version_of: VersionOf) -> tuple[Status, str]:
    try:
        version = version_of(requirement.name)
    except metadata.PackageNotFoundError:
        return Status.MISSING, "missing"
    try:
        fits = requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        fits = False
    if not fits:
        return Status.BROKEN, f"{version}; expected {requirement.specifier}"
    return Status.OK, version
