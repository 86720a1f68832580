"""The result of one check."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """Result of a check."""

    OK = "ok"
    MISSING = "missing"
    """Not installed or not connected, and optional: an extra, a device, a camera."""

    BROKEN = "broken"
    """Installed but unusable, or required and missing."""


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Attributes:
        name: what was checked.
        status: ok, missing or broken.
        detail: the version, the device or the problem.
        fix: the command that fixes the problem; empty if there is none.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""


def worst(statuses: set[Status]) -> Status:
    """Return BROKEN, MISSING or OK: the first of these in the set."""
    return next((s for s in (Status.BROKEN, Status.MISSING) if s in statuses), Status.OK)


def try_import(module: str) -> tuple[Status, str]:
    """Import a module; return OK and its version, or MISSING or BROKEN and the reason."""
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            return Status.MISSING, "not installed"
        return Status.BROKEN, f"import failed: {error.name} is missing"
    except Exception as error:  # a broken library raises anything: OSError, RuntimeError, …
        line = str(error).strip().partition("\n")[0]
        return Status.BROKEN, f"import failed: {type(error).__name__}: {line}"
    version = getattr(imported, "__version__", None)
    return Status.OK, str(version) if version else "installed"
