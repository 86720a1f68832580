"""What is installed, what is missing, what is broken, and the command that mends it.

Each check is a small function that returns findings; `CHECKS` is the table of them. A check never
installs or changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from evface_edge.doctor import cameras, drawing, models, packages, runtimes
from evface_edge.doctor.finding import Finding, State

__all__ = ["CHECKS", "Finding", "State", "examine"]

Check = Callable[[], Iterable[Finding]]

#: Heading → its checks, in the order in which they are shown.
CHECKS: dict[str, tuple[Check, ...]] = {
    "system": (packages.system, packages.base, models.compiled_loops, models.bundled),
    "runtimes": (runtimes.all_runtimes,),
    "cameras": (cameras.drivers, cameras.plugged_in, cameras.udev_rules),
    "images": (drawing.videos, drawing.synthetic_avatar),
    "extras": (packages.extras,),
}


def examine(checks: dict[str, tuple[Check, ...]] | None = None) -> dict[str, list[Finding]]:
    """Run all checks: heading → findings. A check that fails itself is a broken finding."""
    found: dict[str, list[Finding]] = {}
    for heading, functions in (CHECKS if checks is None else checks).items():
        found[heading] = []
        for check in functions:
            try:
                found[heading] += check()
            except Exception as error:  # whatever a damaged installation raises is a finding
                name = check.__name__.replace("_", " ")
                text = f"the check itself failed: {type(error).__name__}: {error}"
                found[heading].append(Finding(name, State.BROKEN, text))
    return found
