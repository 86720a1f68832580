"""Python, the packages that everything needs, and the extras."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import InvalidVersion

from evface_edge.doctor.finding import Finding, State

OLDEST_PYTHON = (3, 10)
#: JetPack writes its release here.
TEGRA_RELEASE = Path("/etc/nv_tegra_release")

NAME = "evface-edge"
#: Extras that bring others, or are of use to developers alone.
_OTHER_EXTRAS = {"all", "dev", "bench"}

#: Name of a distribution → its version, or PackageNotFoundError.
VersionOf = Callable[[str], str]


def system(
    python: tuple[int, int] = sys.version_info[:2], tegra_release: Path = TEGRA_RELEASE
) -> Iterator[Finding]:
    """Python, the machine, and our own version."""
    text = f"{platform.python_version()} in {sys.prefix}"
    if python >= OLDEST_PYTHON:
        yield Finding("python", State.OK, text)
    else:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        yield Finding("python", State.BROKEN, f"{text}; expected {oldest} or newer")
    machine = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if tegra_release.is_file():
        machine += f", Jetson {tegra_release.read_text(errors='replace').partition(', GCID')[0]}"
    yield Finding("machine", State.OK, machine)
    from evface_edge import __version__

    yield Finding(NAME, State.OK, __version__)


def base(
    requirements: Sequence[str] | None = None, version_of: VersionOf = metadata.version
) -> Iterator[Finding]:
    """The packages without which nothing runs."""
    for requirement in _parsed(requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            name, state, found = _look(requirement, version_of)
            if state is State.MISSING:
                state = State.BROKEN
            mend = "" if state is State.OK else f"pip install '{_plain(requirement)}'"
            yield Finding(name, state, found, mend)


def extras(
    requirements: Sequence[str] | None = None, version_of: VersionOf = metadata.version
) -> Iterator[Finding]:
    """One finding for each extra: there as a whole, missing in part or whole, or too old."""
    wanted = _parsed(requirements)
    names = sorted(
        {
            extra
            for requirement in wanted
            for extra in _named_extras(requirement)
            if extra not in _OTHER_EXTRAS
        }
    )
    for extra in names:
        looked = [
            _look(requirement, version_of)
            for requirement in wanted
            if requirement.marker is not None
            and requirement.marker.evaluate({"extra": extra})
            and not requirement.marker.evaluate({"extra": ""})
        ]
        if not looked:
            yield Finding(f"[{extra}]", State.MISSING, "not for this kind of machine")
            continue
        states = {state for _, state, _ in looked}
        state = next((s for s in (State.BROKEN, State.MISSING) if s in states), State.OK)
        found = ", ".join(f"{name} {text}" for name, _, text in looked)
        mend = "" if state is State.OK else f"pip install '{NAME}[{extra}]'"
        yield Finding(f"[{extra}]", state, found, mend)


def _parsed(requirements: Sequence[str] | None) -> list[Requirement]:
    if requirements is None:
        requirements = metadata.requires(NAME) or ()
    return [Requirement(text) for text in requirements]


def _named_extras(requirement: Requirement) -> Iterator[str]:
    """The extras that a requirement belongs to; those of `pip install NAME[a]` are no such."""
    if requirement.marker is None or requirement.name == NAME:
        return
    for word in str(requirement.marker).replace("(", " ").replace(")", " ").split(" and "):
        variable, _, value = word.partition("==")
        if variable.strip() == "extra":
            yield value.strip().strip("\"'")


def _look(requirement: Requirement, version_of: VersionOf) -> tuple[str, State, str]:
    try:
        version = version_of(requirement.name)
    except metadata.PackageNotFoundError:
        return requirement.name, State.MISSING, "missing"
    try:
        fits = requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        fits = False
    if not fits:
        text = f"{version}; expected {requirement.specifier}"
        return requirement.name, State.BROKEN, text
    return requirement.name, State.OK, version


def _plain(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"
