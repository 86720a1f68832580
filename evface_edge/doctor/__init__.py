"""Checks of the installation: what works, what is missing, what is broken, and how to fix it.

Each check is a function that yields results; `CHECKS` is the table of checks. A check never
installs or changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from evface_edge.doctor import cameras, graphics, models, packages, runtimes
from evface_edge.doctor.check_result import CheckResult, Status

__all__ = ["CHECKS", "CheckResult", "Status", "run_checks"]

Check = Callable[[], Iterable[CheckResult]]

#: Heading → its checks, in the order of the output.
CHECKS: dict[str, tuple[Check, ...]] = {
    "system": (packages.system, packages.base, models.compiled_loops, models.bundled),
    "runtimes": (runtimes.all_runtimes, runtimes.chosen),
    "cameras": (cameras.drivers, cameras.connected, cameras.udev_rules),
    "graphics": (graphics.videos, graphics.synthetic_avatar),
    "extras": (packages.extras,),
}


def run_checks(checks: dict[str, tuple[Check, ...]] | None = None) -> dict[str, list[CheckResult]]:
    """Run all checks: heading → results. A check that raises is reported as broken."""
    results: dict[str, list[CheckResult]] = {}
    for heading, functions in (CHECKS if checks is None else checks).items():
        results[heading] = []
        for check in functions:
            try:
                results[heading] += check()
            except Exception as error:  # a damaged installation may raise anything
                name = check.__name__.replace("_", " ")
                detail = f"the check failed: {type(error).__name__}: {error}"
                results[heading].append(CheckResult(name, Status.BROKEN, detail))
    return results
